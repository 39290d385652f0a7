"""Sixteen buckets a doubling instead of four.

What was counted before is kept: each old bucket ends where a new one ends, and goes there. A process of an older
version that still runs is refused by the constraint, with a warning in its log, and so cannot mix its buckets in.
"""

from django.db import migrations, models

LOCK = "LOCK TABLE migration_ops_metric IN SHARE ROW EXCLUSIVE MODE"

FINER = """
UPDATE migration_ops_metric SET histogram = ARRAY(
    SELECT CASE WHEN bucket = 321 THEN coalesce(histogram[82], 0)
                WHEN bucket % 4 = 0 THEN coalesce(histogram[bucket / 4 + 1], 0)
                ELSE 0 END
      FROM generate_series(0, 321) AS bucket ORDER BY bucket)
"""

COARSER = """
UPDATE migration_ops_metric SET histogram = ARRAY(
    SELECT coalesce(sum(count), 0)::bigint
      FROM generate_series(0, 81) AS bucket
      LEFT JOIN unnest(histogram) WITH ORDINALITY AS finer (count, place) ON (place + 2) / 4 = bucket
     GROUP BY bucket ORDER BY bucket)
"""


class Migration(migrations.Migration):

    dependencies = [
        ('migration_ops', '0014_rollout'),
    ]

    operations = [
        migrations.RunSQL([LOCK, FINER], [COARSER]),
        migrations.AddConstraint(
            model_name='metric',
            constraint=models.CheckConstraint(condition=models.Q(('histogram__len', 322)), name='metric_histogram_buckets'),
        ),
    ]
