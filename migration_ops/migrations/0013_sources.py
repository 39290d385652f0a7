from django.db import migrations, models

_PRIMARY_KEY = (
    "ALTER TABLE migration_ops_lineage DROP CONSTRAINT migration_ops_lineage_pkey,"
    " ADD CONSTRAINT migration_ops_lineage_pkey PRIMARY KEY (migration, {columns})"
)


class Migration(migrations.Migration):

    dependencies = [
        ('migration_ops', '0012_metrics'),
    ]

    operations = [
        migrations.CreateModel(
            name='ImportedDocument',
            fields=[
                ('pk', models.CompositePrimaryKey('migration', 'key', blank=True, editable=False, primary_key=True, serialize=False)),
                ('migration', models.CharField(max_length=100, verbose_name='migration')),
                ('key', models.TextField(verbose_name='key')),
                ('source', models.TextField(verbose_name='read from')),
            ],
            options={
                'verbose_name': 'imported document',
                'verbose_name_plural': 'imported documents',
                'indexes': [models.Index(fields=['migration', 'source', 'key'], name='imported_by_source')],
            },
        ),
        migrations.RemoveConstraint(
            model_name='mergerecord',
            name='merge_record_key',
        ),
        migrations.RemoveConstraint(
            model_name='quarantineitem',
            name='quarantine_row',
        ),
        migrations.AddField(
            model_name='lineage',
            name='source',
            field=models.TextField(blank=True, db_default='', verbose_name='read from'),
        ),
        migrations.AddField(
            model_name='mergerecord',
            name='source',
            field=models.TextField(blank=True, db_default='', verbose_name='read from'),
        ),
        migrations.AddField(
            model_name='quarantineitem',
            name='source',
            field=models.TextField(blank=True, db_default='', verbose_name='read from'),
        ),
        # Django has no operation for a primary key of several columns that changes.
        migrations.RunSQL(
            sql=_PRIMARY_KEY.format(columns='source, row'),
            reverse_sql=_PRIMARY_KEY.format(columns='row'),
            state_operations=[
                migrations.AlterField(
                    model_name='lineage',
                    name='pk',
                    field=models.CompositePrimaryKey('migration', 'source', 'row', blank=True, editable=False, primary_key=True, serialize=False),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name='mergerecord',
            constraint=models.UniqueConstraint(fields=('migration', 'source', 'key'), name='merge_record_key'),
        ),
        migrations.AddConstraint(
            model_name='quarantineitem',
            constraint=models.UniqueConstraint(fields=('migration', 'source', 'row'), name='quarantine_row'),
        ),
    ]
