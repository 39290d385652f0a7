from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('migration_ops', '0010_capture'),
    ]

    operations = [
        migrations.AddField(
            model_name='quarantineitem',
            name='refused',
            field=models.BooleanField(db_default=False, verbose_name='only the modern database refuses it'),
        ),
        migrations.AddIndex(
            model_name='quarantineitem',
            index=models.Index(condition=models.Q(('refused', True)), fields=['migration', 'key'], name='quarantine_refused'),
        ),
        migrations.AddIndex(
            model_name='dirtykey',
            index=models.Index(condition=models.Q(('row__isnull', False)), fields=['migration', 'row'], name='dirty_key_by_row'),
        ),
    ]
