"""The dirty list keeps one index beside its primary key: whoever writes past the app waits for every index."""

from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations, models

from migration_ops.schema.operations import CreateIndexConcurrently


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('migration_ops', '0015_finer_histograms'),
    ]

    operations = [
        CreateIndexConcurrently(
            model_name='dirtykey',
            index=models.Index(fields=['migration', 'row', 'key'], name='dirty_key_by_row_or_key'),
        ),
        RemoveIndexConcurrently(model_name='dirtykey', name='dirty_key_by_migration'),
        RemoveIndexConcurrently(model_name='dirtykey', name='dirty_key_by_key'),
        RemoveIndexConcurrently(model_name='dirtykey', name='dirty_key_by_row'),
    ]
