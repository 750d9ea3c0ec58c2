import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.lookups
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('connectors', '0001_initial'),
        ('outbox', '0001_initial'),
        ('syncjobs', '0001_initial'),
        ('workspaces', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='AlertChannel',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100, validators=[django.core.validators.RegexValidator('\\A[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,98}[A-Za-z0-9._-])?\\Z', "use letters, digits, blanks, '.', '_' and '-', at most 100, beginning with a letter or digit")])),
                ('sealed_secret', models.TextField(editable=False)),
                ('scheme', models.CharField(editable=False, max_length=20)),
                ('shown_url', models.CharField(editable=False, max_length=300)),
                ('min_severity', models.CharField(choices=[('info', 'info'), ('warning', 'warning'), ('critical', 'critical')], default='info', max_length=10)),
                ('quiet_hours', models.CharField(blank=True, default='', max_length=11)),
                ('timezone', models.CharField(default='UTC', max_length=60)),
                ('breaks_quiet', models.CharField(choices=[('info', 'info'), ('warning', 'warning'), ('critical', 'critical')], default='critical', max_length=10)),
                ('group_s', models.PositiveIntegerField(default=30, validators=[django.core.validators.MaxValueValidator(3600)])),
                ('most_per_hour', models.PositiveIntegerField(default=20, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000)])),
                ('enabled', models.BooleanField(default=True)),
                ('state', models.CharField(choices=[('ok', 'ok'), ('retrying', 'retrying'), ('broken', 'broken')], default='ok', editable=False, max_length=10)),
                ('broken_since', models.DateTimeField(editable=False, null=True)),
                ('last_result', models.TextField(blank=True, default='', editable=False)),
                ('last_delivery_at', models.DateTimeField(editable=False, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='alert_channels', to='workspaces.workspace')),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='AlertMessage',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('reason', models.CharField(choices=[('alerts', 'alerts'), ('digest', 'digest'), ('test', 'test')], max_length=10)),
                ('body', models.BinaryField()),
                ('made_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('next_at', models.DateTimeField(null=True)),
                ('leased_until', models.DateTimeField(null=True)),
                ('delivered_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('code', models.CharField(blank=True, default='', max_length=40)),
                ('result', models.TextField(blank=True, default='')),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='messages', to='alerts.alertchannel')),
            ],
        ),
        migrations.CreateModel(
            name='AlertRule',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100, validators=[django.core.validators.RegexValidator('\\A[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,98}[A-Za-z0-9._-])?\\Z', "use letters, digits, blanks, '.', '_' and '-', at most 100, beginning with a letter or digit")])),
                ('kind', models.CharField(choices=[('failure', 'failure'), ('failures_in_a_row', 'failures in a row'), ('held', 'held'), ('suspect', 'suspect'), ('overdue', 'overdue'), ('nothing_ran', 'nothing ran'), ('error_rate', 'error rate'), ('offline', 'offline'), ('dead_letters', 'dead letters'), ('index_behind', 'index behind'), ('disk', 'disk')], max_length=20)),
                ('severity', models.CharField(choices=[('info', 'info'), ('warning', 'warning'), ('critical', 'critical')], default='warning', max_length=10)),
                ('enabled', models.BooleanField(default=True)),
                ('tag', models.CharField(blank=True, default='', max_length=100, validators=[django.core.validators.RegexValidator('\\A[^\\x00-\\x1f\\x7f]+\\Z', 'use no control characters')])),
                ('params', models.JSONField(blank=True, default=dict)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('channels', models.ManyToManyField(blank=True, related_name='rules', to='alerts.alertchannel')),
                ('connector', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='alert_rules', to='connectors.connector')),
                ('job', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='alert_rules', to='syncjobs.syncjob')),
                ('stream', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='alert_rules', to='outbox.stream')),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='alert_rules', to='workspaces.workspace')),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='Alert',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('subject_kind', models.CharField(choices=[('job', 'job'), ('connector', 'connector'), ('stream', 'stream'), ('dataset', 'dataset'), ('workspace', 'workspace')], max_length=10)),
                ('subject_id', models.UUIDField()),
                ('subject_name', models.CharField(max_length=200)),
                ('firing', models.BooleanField(default=False)),
                ('bad_in_a_row', models.PositiveIntegerField(default=0)),
                ('flapping', models.BooleanField(default=False)),
                ('changes', django.contrib.postgres.fields.ArrayField(base_field=models.DateTimeField(), default=list, size=None)),
                ('severity', models.CharField(choices=[('info', 'info'), ('warning', 'warning'), ('critical', 'critical')], max_length=10)),
                ('detail', models.TextField(blank=True, default='')),
                ('record_id', models.UUIDField(null=True)),
                ('error_code', models.CharField(blank=True, default='', max_length=40)),
                ('occurrences', models.PositiveIntegerField(default=0)),
                ('opened_at', models.DateTimeField(null=True)),
                ('last_seen_at', models.DateTimeField(null=True)),
                ('resolved_at', models.DateTimeField(null=True)),
                ('silenced_until', models.DateTimeField(null=True)),
                ('silenced_by', models.CharField(blank=True, default='', max_length=150)),
                ('silence_reason', models.TextField(blank=True, default='')),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='alerts', to='workspaces.workspace')),
                ('rule', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='alerts', to='alerts.alertrule')),
            ],
        ),
        migrations.CreateModel(
            name='Notification',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('tell', models.CharField(choices=[('opened', 'opened'), ('recovered', 'recovered'), ('flapping', 'flapping'), ('settled', 'settled'), ('still_firing', 'still firing'), ('opened_and_recovered', 'opened and recovered')], max_length=20)),
                ('severity', models.CharField(choices=[('info', 'info'), ('warning', 'warning'), ('critical', 'critical')], max_length=10)),
                ('told', models.JSONField()),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('due_at', models.DateTimeField()),
                ('suppressed', models.BooleanField(default=False)),
                ('alert', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to='alerts.alert')),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to='alerts.alertchannel')),
                ('message', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to='alerts.alertmessage')),
            ],
        ),
        migrations.AddConstraint(
            model_name='alertchannel',
            constraint=models.UniqueConstraint(fields=('workspace', 'name'), name='channel_name_in_workspace'),
        ),
        migrations.AddIndex(
            model_name='alertmessage',
            index=models.Index(condition=models.Q(('next_at__isnull', False)), fields=['next_at'], name='message_due'),
        ),
        migrations.AddIndex(
            model_name='alertmessage',
            index=models.Index(fields=['channel', '-made_at'], name='message_of_channel'),
        ),
        migrations.AddIndex(
            model_name='alertmessage',
            index=models.Index(condition=models.Q(('ended_at__isnull', False)), fields=['ended_at'], name='message_ended'),
        ),
        migrations.AddConstraint(
            model_name='alertrule',
            constraint=models.UniqueConstraint(fields=('workspace', 'name'), name='rule_name_in_workspace'),
        ),
        migrations.AddConstraint(
            model_name='alertrule',
            constraint=models.CheckConstraint(condition=django.db.models.lookups.LessThanOrEqual(models.Func('job', 'connector', 'stream', models.Func(models.F('tag'), models.Value(''), function='nullif'), function='num_nonnulls', output_field=models.IntegerField()), 1), name='rule_has_one_scope'),
        ),
        migrations.AddIndex(
            model_name='alert',
            index=models.Index(condition=models.Q(('opened_at__isnull', False)), fields=['workspace', '-opened_at'], name='alert_newest'),
        ),
        migrations.AddIndex(
            model_name='alert',
            index=models.Index(condition=models.Q(('firing', True)), fields=['rule'], name='alert_firing'),
        ),
        migrations.AddIndex(
            model_name='alert',
            index=models.Index(condition=models.Q(('flapping', True)), fields=['rule'], name='alert_flapping'),
        ),
        migrations.AddIndex(
            model_name='alert',
            index=models.Index(condition=models.Q(('silenced_until__isnull', False)), fields=['silenced_until'], name='alert_silenced'),
        ),
        migrations.AddConstraint(
            model_name='alert',
            constraint=models.UniqueConstraint(fields=('rule', 'subject_kind', 'subject_id'), name='alert_once'),
        ),
        migrations.AddIndex(
            model_name='notification',
            index=models.Index(condition=models.Q(('message', None)), fields=['channel', 'due_at'], name='notification_waiting'),
        ),
        migrations.AddIndex(
            model_name='notification',
            index=models.Index(fields=['alert', 'channel', '-id'], name='notification_of_alert'),
        ),
        migrations.AlterField(
            model_name='alertrule',
            name='created_at',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
        ),
        migrations.CreateModel(
            name='AlertDeliveryTotal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('outcome', models.CharField(choices=[('delivered', 'delivered'), ('retried', 'retried'), ('broken', 'broken'), ('suppressed', 'suppressed')], max_length=12)),
                ('total', models.BigIntegerField(default=0)),
            ],
        ),
        migrations.RemoveIndex(
            model_name='alertmessage',
            name='message_due',
        ),
        migrations.AddField(
            model_name='notification',
            name='held',
            field=models.BooleanField(default=False),
        ),
        migrations.AddIndex(
            model_name='alertmessage',
            index=models.Index(condition=models.Q(('ended_at', None)), fields=['channel', 'next_at'], name='message_open'),
        ),
        migrations.AddField(
            model_name='alertdeliverytotal',
            name='workspace',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='workspaces.workspace'),
        ),
        migrations.AddConstraint(
            model_name='alertdeliverytotal',
            constraint=models.UniqueConstraint(fields=('workspace', 'outcome'), name='delivery_total_once'),
        ),
        migrations.AddField(
            model_name='alert',
            name='kind',
            field=models.CharField(blank=True, default='', max_length=20),
        ),
        migrations.CreateModel(
            name='EndedCount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('since', models.DateTimeField()),
                ('ended', models.PositiveIntegerField()),
                ('failed', models.PositiveIntegerField()),
                ('rule', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='ended_counts', to='alerts.alertrule')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('rule', 'since'), name='ended_count_once')],
            },
        ),
        migrations.CreateModel(
            name='IdleWatch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('schedule', models.TextField()),
                ('after_s', models.PositiveIntegerField(null=True)),
                ('idle_from', models.DateTimeField()),
                ('look_at', models.DateTimeField(null=True)),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='idle_watches', to='syncjobs.syncjob')),
                ('rule', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='idle_watches', to='alerts.alertrule')),
            ],
            options={
                'verbose_name_plural': 'idle watches',
                'indexes': [models.Index(condition=models.Q(('look_at__isnull', False)), fields=['look_at'], name='idle_watch_due')],
                'constraints': [models.UniqueConstraint(fields=('rule', 'job'), name='idle_watch_once')],
            },
        ),
        migrations.RunSQL(
            sql="""
            -- For workspaces that are older than alerts. Checked at once, so that tables can still be altered.
            SET CONSTRAINTS ALL IMMEDIATE;
            INSERT INTO alerts_alertrule (id, workspace_id, name, kind, severity, enabled, tag, params, created_at, updated_at)
            SELECT gen_random_uuid(), w.id, 'default-' || replace(d.kind, '_', '-'), d.kind, d.severity, true, '',
                   d.params::jsonb, now(), now()
              FROM workspaces_workspace w CROSS JOIN (VALUES
                   ('failure', 'warning', '{}'), ('held', 'warning', '{}'), ('nothing_ran', 'warning', '{"after_s": null}'),
                   ('index_behind', 'info', '{"after_s": 900}'), ('disk', 'critical', '{"free_percent": 10}')
                   ) AS d(kind, severity, params)
                ON CONFLICT (workspace_id, name) DO NOTHING;
            SET CONSTRAINTS ALL DEFERRED;
            """,
            reverse_sql='',
        ),
    ]
