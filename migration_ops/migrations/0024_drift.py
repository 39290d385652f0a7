"""Drift runs: what was touched since the last one is known, and a difference lives on from run to run."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('migration_ops', '0023_alerts'),
    ]

    operations = [
        migrations.CreateModel(
            name='ComparedUpTo',
            fields=[
                ('migration', models.CharField(max_length=100, primary_key=True, serialize=False, verbose_name='migration')),
                ('seen', models.BigIntegerField(verbose_name='transaction')),
                ('written', models.BigIntegerField(verbose_name='written by transaction')),
                ('lost', models.BigIntegerField(verbose_name='captures lost until then')),
                ('at', models.DateTimeField(verbose_name='at')),
            ],
            options={
                'verbose_name': 'moment up to which everything was compared',
                'verbose_name_plural': 'moments up to which everything was compared',
            },
        ),
        migrations.CreateModel(
            name='TouchedKey',
            fields=[
                ('pk', models.CompositePrimaryKey('run', 'key', blank=True, editable=False, primary_key=True, serialize=False)),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='touched', to='migration_ops.run')),
                ('key', models.TextField(db_collation='C', verbose_name='key')),
            ],
            options={
                'verbose_name': 'touched document',
                'verbose_name_plural': 'touched documents',
            },
        ),
        migrations.AlterModelOptions(
            name='migrationstate',
            options={'permissions': [('advance_migration', 'Can move a migration forward through its gates'), ('canary_migration', 'Can choose the canaries of a migration'), ('hold_migration', 'Can put a migration on hold'), ('resume_migration', 'Can take the hold off a migration'), ('kill_migration', 'Can bring all reads of a migration back to legacy'), ('unkill_migration', 'Can take the kill switch of a migration off'), ('rollback_migration', 'Can move a migration back'), ('override_migration', 'Can override gates of a migration'), ('acknowledge_migration', 'Can acknowledge alerts of a migration'), ('repair_migration', 'Can repair differences of a migration'), ('explain_migration', 'Can explain differences of a migration')], 'verbose_name': 'migration state', 'verbose_name_plural': 'migration states'},
        ),
        migrations.AddField(
            model_name='difference',
            name='digest',
            field=models.CharField(blank=True, db_default='', max_length=64, verbose_name='digest of both sides'),
        ),
        migrations.AddField(
            model_name='difference',
            name='explained_at',
            field=models.DateTimeField(null=True, verbose_name='explained at'),
        ),
        migrations.AddField(
            model_name='difference',
            name='explained_by',
            field=models.CharField(blank=True, db_default='', max_length=200, verbose_name='explained by'),
        ),
        migrations.AddField(
            model_name='difference',
            name='explanation',
            field=models.TextField(blank=True, db_default='', verbose_name='explanation'),
        ),
        migrations.AddField(
            model_name='difference',
            name='seen_at',
            field=models.DateTimeField(null=True, verbose_name='last seen'),
        ),
        migrations.AddField(
            model_name='difference',
            name='severity',
            field=models.CharField(blank=True, choices=[('low', 'low'), ('medium', 'medium'), ('high', 'high'), ('critical', 'critical')], db_default='', max_length=10, verbose_name='severity'),
        ),
        migrations.AlterField(
            model_name='difference',
            name='status',
            field=models.CharField(choices=[('suspect', 'suspected'), ('new', 'newly found'), ('confirmed', 'confirmed'), ('repaired', 'repaired'), ('explained', 'explained'), ('gone', 'no longer there')], default='new', max_length=10, verbose_name='status'),
        ),
        migrations.AlterField(
            model_name='run',
            name='kind',
            field=models.CharField(choices=[('backfill', 'backfill'), ('validation', 'validation'), ('drift', 'drift run')], max_length=20, verbose_name='kind'),
        ),
        migrations.RunSQL(
            "UPDATE migration_ops_difference SET status = 'confirmed' WHERE status = 'open'",
            "UPDATE migration_ops_difference SET status = CASE status WHEN 'explained' THEN 'gone' ELSE 'open' END"
            " WHERE status IN ('new', 'confirmed', 'explained')",
        ),
        migrations.AddIndex(
            model_name='difference',
            index=models.Index(fields=['migration', 'status', 'key'], name='difference_by_status'),
        ),
        migrations.AddConstraint(
            model_name='difference',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['suspect', 'new', 'confirmed', 'repaired', 'explained', 'gone'])), name='difference_status'),
        ),
        migrations.AddConstraint(
            model_name='difference',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'explained'), _negated=True), models.Q(models.Q(('explanation', ''), _negated=True), models.Q(('explained_by', ''), _negated=True), models.Q(('digest', ''), _negated=True)), _connector='OR'), name='difference_explained_by_whom_and_why'),
        ),
    ]
