import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("habits", "0003_modern_indexes"),
    ]

    operations = [
        migrations.RunSQL(
            """
            CREATE UNLOGGED TABLE request_counts (
                user_id uuid NOT NULL,
                kind text NOT NULL,
                minute timestamptz NOT NULL,
                requests integer NOT NULL,
                PRIMARY KEY (user_id, kind)
            )
            """,
            "DROP TABLE request_counts",
            state_operations=[
                migrations.CreateModel(
                    name="RequestCount",
                    fields=[
                        ("pk", models.CompositePrimaryKey("user", "kind", blank=True, editable=False, primary_key=True, serialize=False)),
                        ("kind", models.TextField(verbose_name="kind")),
                        ("minute", models.DateTimeField(verbose_name="minute")),
                        ("requests", models.IntegerField(verbose_name="requests")),
                        ("user", models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL)),
                    ],
                    options={
                        "verbose_name": "request count",
                        "verbose_name_plural": "request counts",
                        "db_table": "request_counts",
                    },
                ),
            ],
        ),
    ]
