"""Whether a migration's flag names canaries is kept beside its stage: a decision reads one row, and no other table."""

from django.db import migrations, models

FOUND = """
UPDATE migration_ops_migrationstate AS state SET named = EXISTS (
    SELECT FROM migration_ops_flag AS flag WHERE flag.name = state.name
       AND (EXISTS (SELECT FROM migration_ops_flag_users AS canary WHERE canary.flag_id = flag.id)
            OR EXISTS (SELECT FROM migration_ops_flag_groups AS canary WHERE canary.flag_id = flag.id)))
"""


class Migration(migrations.Migration):

    dependencies = [
        ('migration_ops', '0017_dashboard'),
    ]

    operations = [
        migrations.AddField(
            model_name='migrationstate',
            name='named',
            field=models.BooleanField(db_default=False, verbose_name='canaries by name'),
        ),
        migrations.RunSQL(FOUND, migrations.RunSQL.noop),
    ]
