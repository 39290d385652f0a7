"""How many people a migration's flag names, beside its stage: a decision knows without counting whether that is too many."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('migration_ops', '0021_background'),
    ]

    operations = [
        migrations.AddField(
            model_name='migrationstate',
            name='named_people',
            field=models.BigIntegerField(db_default=0, verbose_name='people named as canaries'),
        ),
        migrations.AddField(
            model_name='migrationstate',
            name='people',
            field=models.BigIntegerField(db_default=0, verbose_name='people there were when they were counted'),
        ),
    ]
