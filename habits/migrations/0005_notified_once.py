"""One achievement of a child's week and one report of a week, whoever tells them at the same time."""

from django.db import migrations, models
from django.db.models.fields.json import KeyTextTransform

from migration_ops.schema.operations import CreateUniqueKeyConcurrently


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('habits', '0004_request_counts'),
    ]

    operations = [
        CreateUniqueKeyConcurrently(
            model_name='notification',
            constraint=models.UniqueConstraint(models.F('user'), KeyTextTransform('child', 'metadata'), KeyTextTransform('week', 'metadata'), condition=models.Q(('type', 'achievement')), name='notifications_achievement_key'),
        ),
        CreateUniqueKeyConcurrently(
            model_name='notification',
            constraint=models.UniqueConstraint(models.F('user'), KeyTextTransform('week', 'metadata'), condition=models.Q(('type', 'weekly_report')), name='notifications_weekly_report_key'),
        ),
    ]
