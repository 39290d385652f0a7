from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("habits", "0005_notified_once")]

    operations = [
        migrations.CreateModel(
            name="LoginAttempts",
            fields=[
                ("key", models.TextField(primary_key=True, serialize=False, verbose_name="key")),
                ("attempts", models.IntegerField(verbose_name="attempts")),
                ("window_ends", models.DateTimeField(verbose_name="window ends")),
            ],
            options={
                "verbose_name": "attempts to log in",
                "verbose_name_plural": "attempts to log in",
                "db_table": "login_attempts",
                "indexes": [models.Index(fields=["window_ends"], name="login_attempts_by_end")],
            },
        ),
    ]
