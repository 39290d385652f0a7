"""The modern tables: unique keys at once, checks for new rows only, foreign keys after the backfill."""

import datetime
import django.contrib.postgres.functions
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
import django.db.models.functions.text
import django.db.models.lookups
import habits.identifiers
import habits.models.base
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('habits', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Habit',
            fields=[
                ('id', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), default=habits.identifiers.ordered_uuid, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(auto_now=True, db_default=django.db.models.functions.datetime.Now(), verbose_name='updated')),
                ('name', models.TextField(verbose_name='name')),
                ('time_period', models.TextField(blank=True, db_default='', null=True, verbose_name='time of day')),
                ('display_order', models.IntegerField(verbose_name='position')),
                ('legacy_id', models.BigIntegerField(blank=True, null=True, verbose_name='id in the legacy row')),
            ],
            options={
                'verbose_name': 'habit',
                'verbose_name_plural': 'habits',
                'db_table': 'habits',
            },
        ),
        migrations.CreateModel(
            name='Child',
            fields=[
                ('id', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), default=habits.identifiers.ordered_uuid, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(auto_now=True, db_default=django.db.models.functions.datetime.Now(), verbose_name='updated')),
                ('name', models.TextField(verbose_name='name')),
                ('avatar_url', models.TextField(blank=True, null=True, verbose_name='picture')),
                ('birth_date', models.DateField(blank=True, null=True, verbose_name='date of birth')),
                ('user', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='children', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'child',
                'verbose_name_plural': 'children',
                'db_table': 'children',
            },
        ),
        migrations.CreateModel(
            name='HabitRecord',
            fields=[
                ('id', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), default=habits.identifiers.ordered_uuid, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(auto_now=True, db_default=django.db.models.functions.datetime.Now(), verbose_name='updated')),
                ('record_date', models.DateField(verbose_name='day')),
                ('status', models.TextField(choices=[('green', 'green'), ('yellow', 'yellow'), ('red', 'red'), ('none', 'blank')], db_default='none', verbose_name='mark')),
                ('note', models.TextField(blank=True, null=True, verbose_name='note')),
                ('habit', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='records', to='habits.habit')),
            ],
            options={
                'verbose_name': 'mark',
                'verbose_name_plural': 'marks',
                'db_table': 'habit_records',
            },
        ),
        migrations.CreateModel(
            name='HabitTemplate',
            fields=[
                ('id', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), default=habits.identifiers.ordered_uuid, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(auto_now=True, db_default=django.db.models.functions.datetime.Now(), verbose_name='updated')),
                ('name', models.TextField(verbose_name='name')),
                ('description', models.TextField(blank=True, db_default='', null=True, verbose_name='description')),
                ('habits', models.JSONField(db_default=[], verbose_name='habits')),
                ('is_default', models.BooleanField(db_default=False, default=False, verbose_name='default')),
                ('child', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='templates', to='habits.child', verbose_name='child')),
                ('user', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'template',
                'verbose_name_plural': 'templates',
                'db_table': 'habit_templates',
            },
        ),
        migrations.CreateModel(
            name='IdempotencyRecord',
            fields=[
                ('id', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), default=habits.identifiers.ordered_uuid, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(auto_now=True, db_default=django.db.models.functions.datetime.Now(), verbose_name='updated')),
                ('method', models.TextField(verbose_name='method')),
                ('route', models.TextField(verbose_name='route')),
                ('key', models.TextField(verbose_name='key')),
                ('fingerprint', models.TextField(verbose_name='fingerprint of the payload')),
                ('response_status', models.SmallIntegerField(verbose_name='status of the answer')),
                ('response_headers', models.JSONField(db_default={}, verbose_name='headers of the answer')),
                ('response_body', models.BinaryField(db_default=b'', verbose_name='body of the answer')),
                ('expires_at', models.DateTimeField(verbose_name='expires')),
                ('user', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'answered request',
                'verbose_name_plural': 'answered requests',
                'db_table': 'idempotency_log',
            },
        ),
        migrations.CreateModel(
            name='Notification',
            fields=[
                ('id', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), default=habits.identifiers.ordered_uuid, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(auto_now=True, db_default=django.db.models.functions.datetime.Now(), verbose_name='updated')),
                ('type', models.TextField(choices=[('mention', 'mention'), ('achievement', 'achievement'), ('weekly_report', 'weekly report'), ('chat', 'chat')], verbose_name='kind')),
                ('title', models.TextField(verbose_name='title')),
                ('message', models.TextField(blank=True, db_default='', null=True, verbose_name='message')),
                ('link_url', models.TextField(blank=True, db_default='', null=True, verbose_name='link')),
                ('metadata', models.JSONField(blank=True, db_default={}, null=True, verbose_name='details')),
                ('is_read', models.BooleanField(db_default=False, default=False, verbose_name='read')),
                ('from_user', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='from')),
                ('user', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'notification',
                'verbose_name_plural': 'notifications',
                'db_table': 'notifications',
            },
        ),
        migrations.CreateModel(
            name='Week',
            fields=[
                ('id', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), default=habits.identifiers.ordered_uuid, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(auto_now=True, db_default=django.db.models.functions.datetime.Now(), verbose_name='updated')),
                ('week_start_date', models.DateField(verbose_name='Monday')),
                ('week_end_date', models.DateField(verbose_name='Sunday')),
                ('theme', models.TextField(blank=True, db_default='', null=True, verbose_name='theme')),
                ('reflection', models.JSONField(blank=True, db_default={}, null=True, verbose_name='reflection')),
                ('reward', models.TextField(blank=True, db_default='', null=True, verbose_name='reward')),
                ('child', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='weeks', to='habits.child')),
                ('template', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='habits.habittemplate', verbose_name='template')),
                ('user', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'week',
                'verbose_name_plural': 'weeks',
                'db_table': 'weeks',
            },
        ),
        migrations.AddField(
            model_name='habit',
            name='week',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='habits', to='habits.week'),
        ),
        migrations.AddConstraint(
            model_name='child',
            constraint=models.UniqueConstraint(fields=('user', 'name'), name='children_user_name_key'),
        ),
        AddConstraintNotValid(
            model_name='child',
            constraint=models.CheckConstraint(condition=django.db.models.lookups.Range(django.db.models.functions.text.Length('name'), (1, 100)), name='children_name_length'),
        ),
        migrations.AddConstraint(
            model_name='habitrecord',
            constraint=models.UniqueConstraint(fields=('habit', 'record_date'), name='habit_records_habit_record_date_key'),
        ),
        AddConstraintNotValid(
            model_name='habitrecord',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['green', 'yellow', 'red', 'none'])), name='habit_records_status_known'),
        ),
        migrations.AddConstraint(
            model_name='habittemplate',
            constraint=models.UniqueConstraint(condition=models.Q(('child__isnull', False), ('is_default', True)), fields=('user', 'child'), name='habit_templates_default_of_child_key'),
        ),
        migrations.AddConstraint(
            model_name='habittemplate',
            constraint=models.UniqueConstraint(condition=models.Q(('child__isnull', True), ('is_default', True)), fields=('user',), name='habit_templates_default_shared_key'),
        ),
        AddConstraintNotValid(
            model_name='habittemplate',
            constraint=models.CheckConstraint(condition=django.db.models.lookups.Range(django.db.models.functions.text.Length('name'), (1, 200)), name='habit_templates_name_length'),
        ),
        AddConstraintNotValid(
            model_name='habittemplate',
            constraint=models.CheckConstraint(condition=django.db.models.lookups.Exact(habits.models.base.JsonType('habits'), 'array'), name='habit_templates_habits_is_array'),
        ),
        migrations.AddConstraint(
            model_name='idempotencyrecord',
            constraint=models.UniqueConstraint(fields=('user', 'method', 'route', 'key'), name='idempotency_log_scope_key'),
        ),
        AddConstraintNotValid(
            model_name='idempotencyrecord',
            constraint=models.CheckConstraint(condition=django.db.models.lookups.Range(django.db.models.functions.text.Length('key'), (1, 255)), name='idempotency_log_key_length'),
        ),
        AddConstraintNotValid(
            model_name='idempotencyrecord',
            constraint=models.CheckConstraint(condition=models.Q(('response_status__range', (200, 499))), name='idempotency_log_status_kept'),
        ),
        AddConstraintNotValid(
            model_name='notification',
            constraint=models.CheckConstraint(condition=models.Q(('type__in', ['mention', 'achievement', 'weekly_report', 'chat'])), name='notifications_type_known'),
        ),
        AddConstraintNotValid(
            model_name='notification',
            constraint=models.CheckConstraint(condition=django.db.models.lookups.Range(django.db.models.functions.text.Length('title'), (1, 200)), name='notifications_title_length'),
        ),
        AddConstraintNotValid(
            model_name='notification',
            constraint=models.CheckConstraint(condition=django.db.models.lookups.Exact(habits.models.base.JsonType('metadata'), 'object'), name='notifications_metadata_is_object'),
        ),
        migrations.AddConstraint(
            model_name='week',
            constraint=models.UniqueConstraint(fields=('child', 'week_start_date'), name='weeks_child_week_start_date_key'),
        ),
        AddConstraintNotValid(
            model_name='week',
            constraint=models.CheckConstraint(condition=models.Q(('week_start_date__iso_week_day', 1)), name='weeks_start_on_monday'),
        ),
        AddConstraintNotValid(
            model_name='week',
            constraint=models.CheckConstraint(condition=models.Q(('week_start_date__range', (datetime.date(2000, 1, 3), datetime.date(2100, 12, 27)))), name='weeks_start_in_range'),
        ),
        AddConstraintNotValid(
            model_name='week',
            constraint=models.CheckConstraint(condition=models.Q(('week_end_date', models.ExpressionWrapper(django.db.models.expressions.CombinedExpression(models.F('week_start_date'), '+', models.Value(6)), output_field=models.DateField()))), name='weeks_end_on_sunday'),
        ),
        AddConstraintNotValid(
            model_name='week',
            constraint=models.CheckConstraint(condition=django.db.models.lookups.Exact(habits.models.base.JsonType('reflection'), 'object'), name='weeks_reflection_is_object'),
        ),
        migrations.AddConstraint(
            model_name='habit',
            constraint=models.UniqueConstraint(fields=('week', 'display_order'), name='habits_week_display_order_key'),
        ),
        AddConstraintNotValid(
            model_name='habit',
            constraint=models.CheckConstraint(condition=django.db.models.lookups.Range(django.db.models.functions.text.Length('name'), (1, 200)), name='habits_name_length'),
        ),
        AddConstraintNotValid(
            model_name='habit',
            constraint=models.CheckConstraint(condition=models.Q(('display_order__gte', 0)), name='habits_display_order_from_0'),
        ),
    ]
