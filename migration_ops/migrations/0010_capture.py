from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('migration_ops', '0002_history_head'),
    ]

    operations = [
        migrations.CreateModel(
            name='PolledVersion',
            fields=[
                ('migration', models.CharField(max_length=100, primary_key=True, serialize=False, verbose_name='migration')),
                ('version', models.TextField(verbose_name='version')),
            ],
            options={
                'verbose_name': 'polled version',
                'verbose_name_plural': 'polled versions',
            },
        ),
        migrations.RunSQL(
            'CREATE SEQUENCE migration_ops_capture_lost',
            'DROP SEQUENCE migration_ops_capture_lost',
        ),
    ]
