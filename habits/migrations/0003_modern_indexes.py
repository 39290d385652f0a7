"""Secondary indexes of the modern tables, built without locking out those who write."""

from django.db import migrations, models

from migration_ops.schema.operations import CreateIndexConcurrently


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('habits', '0002_modern_tables'),
    ]

    operations = [
        CreateIndexConcurrently(
            model_name='habittemplate',
            index=models.Index(fields=['user', 'child'], name='habit_templates_by_user'),
        ),
        CreateIndexConcurrently(
            model_name='habittemplate',
            index=models.Index(condition=models.Q(('child__isnull', False)), fields=['child'], name='habit_templates_by_child'),
        ),
        CreateIndexConcurrently(
            model_name='idempotencyrecord',
            index=models.Index(fields=['expires_at'], name='idempotency_log_by_expiry'),
        ),
        CreateIndexConcurrently(
            model_name='notification',
            index=models.Index(fields=['user', '-created_at'], name='notifications_by_user'),
        ),
        CreateIndexConcurrently(
            model_name='notification',
            index=models.Index(condition=models.Q(('is_read', False)), fields=['user'], name='notifications_unread'),
        ),
        CreateIndexConcurrently(
            model_name='notification',
            index=models.Index(condition=models.Q(('from_user__isnull', False)), fields=['from_user'], name='notifications_by_sender'),
        ),
        CreateIndexConcurrently(
            model_name='week',
            index=models.Index(fields=['user', 'week_start_date'], name='weeks_by_user'),
        ),
        CreateIndexConcurrently(
            model_name='week',
            index=models.Index(condition=models.Q(('template__isnull', False)), fields=['template'], name='weeks_by_template'),
        ),
    ]
