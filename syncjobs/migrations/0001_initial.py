import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.comparison
import django.db.models.functions.datetime
import syncjobs.core.states
import syncjobs.models.jobs
import syncjobs.order.shared
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('connectors', '0001_initial'),
        ('datasets', '0001_initial'),
        ('workspaces', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Pulse',
            fields=[
                ('part', models.CharField(max_length=30, primary_key=True, serialize=False)),
                ('at', models.DateTimeField()),
                ('holder', models.CharField(blank=True, default='', max_length=100)),
            ],
        ),
        migrations.CreateModel(
            name='ProcessSign',
            fields=[
                ('name', models.CharField(max_length=100, primary_key=True, serialize=False)),
                ('part', models.CharField(default='worker', max_length=10)),
                ('host', models.CharField(blank=True, default='', max_length=100)),
                ('session', models.PositiveIntegerField(default=0)),
                ('slots', models.PositiveSmallIntegerField(default=0)),
                ('running', models.PositiveSmallIntegerField(default=0)),
                ('draining', models.BooleanField(default=False)),
                ('store_id', models.UUIDField(null=True)),
                ('store_free_bytes', models.BigIntegerField(null=True)),
                ('store_size_bytes', models.BigIntegerField(null=True)),
                ('halted', models.CharField(blank=True, db_default='', max_length=20)),
                ('started_at', models.DateTimeField()),
                ('seen_at', models.DateTimeField()),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='EventTotal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('workspace_id', models.UUIDField()),
                ('kind', models.CharField(max_length=20)),
                ('event', models.CharField(max_length=30)),
                ('records', models.PositiveBigIntegerField(default=0)),
                ('bytes_transferred', models.PositiveBigIntegerField(default=0)),
                ('files_added', models.PositiveBigIntegerField(default=0)),
                ('files_changed', models.PositiveBigIntegerField(default=0)),
                ('files_removed', models.PositiveBigIntegerField(default=0)),
                ('files_unchanged', models.PositiveBigIntegerField(default=0)),
                ('files_failed', models.PositiveBigIntegerField(default=0)),
                ('files_skipped', models.PositiveBigIntegerField(default=0)),
                ('files_deferred', models.PositiveBigIntegerField(default=0)),
                ('files_cleared', models.PositiveBigIntegerField(default=0)),
                ('duration_s', models.FloatField(default=0)),
                ('durations', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('workspace_id', 'kind', 'event'), name='event_total_once')],
            },
        ),
        migrations.CreateModel(
            name='SyncJob',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100, validators=[django.core.validators.RegexValidator('\\A[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,98}[A-Za-z0-9._-])?\\Z', "use letters, digits, blanks, '.', '_' and '-', at most 100, beginning with a letter or digit")])),
                ('include', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), blank=True, default=list, size=None)),
                ('exclude', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), blank=True, default=list, size=None)),
                ('sync_mode', models.CharField(choices=[('incremental', 'incremental'), ('full', 'full')], default='incremental', max_length=12)),
                ('comparison', models.CharField(choices=[('modified', 'modified'), ('checksum', 'checksum'), ('size', 'size'), ('etag', 'etag')], default='modified', max_length=10)),
                ('verify_every_s', models.PositiveIntegerField(blank=True, default=None, null=True)),
                ('last_verified_at', models.DateTimeField(editable=False, null=True)),
                ('on_delete', models.CharField(choices=[('keep_version', 'keep version'), ('ignore', 'ignore')], default='keep_version', max_length=12)),
                ('after_publish', models.CharField(choices=[('keep', 'keep'), ('delete', 'delete'), ('move', 'move')], default='keep', max_length=10)),
                ('move_to', models.CharField(blank=True, default='', max_length=500)),
                ('schedule', models.JSONField(blank=True, default=dict)),
                ('jitter_s', models.PositiveIntegerField(default=0)),
                ('misfire', models.CharField(choices=[('skip', 'skip'), ('run_once', 'run once'), ('catch_up', 'catch up')], default='run_once', max_length=10)),
                ('catch_up_max', models.PositiveSmallIntegerField(default=5)),
                ('max_lateness_s', models.PositiveIntegerField(blank=True, default=None, null=True)),
                ('overlap', models.CharField(choices=[('queue', 'queue'), ('skip', 'skip'), ('cancel_older', 'cancel older')], default='queue', max_length=12)),
                ('windows', models.JSONField(blank=True, default=list)),
                ('blackouts', models.JSONField(blank=True, default=list)),
                ('filters', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), blank=True, default=list, size=None)),
                ('extensions', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), blank=True, default=list, size=None)),
                ('done_pattern', models.CharField(blank=True, default='', max_length=100)),
                ('settle_s', models.PositiveIntegerField(default=0)),
                ('max_file_size_bytes', models.PositiveBigIntegerField(blank=True, default=None, null=True)),
                ('max_age_s', models.PositiveBigIntegerField(blank=True, default=None, null=True)),
                ('max_files', models.PositiveBigIntegerField(blank=True, default=None, null=True)),
                ('max_bytes', models.PositiveBigIntegerField(blank=True, default=None, null=True)),
                ('timeout_s', models.PositiveIntegerField(blank=True, default=None, null=True)),
                ('max_attempts', models.PositiveSmallIntegerField(default=syncjobs.models.jobs.default_max_attempts)),
                ('enabled', models.BooleanField(default=True)),
                ('tags', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), blank=True, default=list, size=None)),
                ('pause_after_failures', models.PositiveSmallIntegerField(blank=True, default=5, null=True)),
                ('failures_in_a_row', models.PositiveIntegerField(default=0, editable=False)),
                ('paused_at', models.DateTimeField(editable=False, null=True)),
                ('paused_reason', models.TextField(blank=True, default='', editable=False)),
                ('is_default', models.BooleanField(default=False, editable=False)),
                ('next_run_at', models.DateTimeField(editable=False, null=True)),
                ('last_run_at', models.DateTimeField(editable=False, null=True)),
                ('last_error', models.TextField(blank=True, default='', editable=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('connector', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='sync_jobs', to='connectors.connector')),
                ('dataset', models.OneToOneField(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='job', to='datasets.dataset')),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='sync_jobs', to='workspaces.workspace')),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='Dependency',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('record_id', models.UUIDField(null=True)),
                ('state', models.CharField(blank=True, default='', max_length=10)),
                ('ended_at', models.DateTimeField(null=True)),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='parents', to='syncjobs.syncjob')),
                ('parent', models.ForeignKey(on_delete=django.db.models.deletion.RESTRICT, related_name='followers', to='syncjobs.syncjob')),
            ],
        ),
        migrations.CreateModel(
            name='Backfill',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('trigger', models.CharField(choices=[('schedule', 'Schedule'), ('manual', 'Manual'), ('after', 'After'), ('backfill', 'Backfill')], default='backfill', max_length=10)),
                ('since', models.DateTimeField()),
                ('until', models.DateTimeField()),
                ('parallel', models.PositiveSmallIntegerField(default=1, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100)])),
                ('mode', models.CharField(choices=[(syncjobs.order.shared.SyncMode['INCREMENTAL'], 'incremental'), (syncjobs.order.shared.SyncMode['FULL'], 'full')], default=syncjobs.order.shared.SyncMode['INCREMENTAL'], max_length=12)),
                ('fires', models.PositiveIntegerField()),
                ('queued', models.PositiveIntegerField(default=0)),
                ('next_fire', models.DateTimeField(null=True)),
                ('state', models.CharField(choices=[('active', 'Active'), ('done', 'Done'), ('cancelled', 'Cancelled')], default='active', max_length=10)),
                ('requested_by', models.CharField(blank=True, default='', max_length=150)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('finished_at', models.DateTimeField(null=True)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='backfills', to='workspaces.workspace')),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='backfills', to='syncjobs.syncjob')),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='SyncRecord',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('trigger', models.CharField(choices=[('schedule', 'Schedule'), ('manual', 'Manual'), ('after', 'After'), ('backfill', 'Backfill')], max_length=10)),
                ('scheduled_for', models.DateTimeField(null=True)),
                ('mode', models.CharField(choices=[(syncjobs.order.shared.SyncMode['INCREMENTAL'], 'incremental'), (syncjobs.order.shared.SyncMode['FULL'], 'full')], default=syncjobs.order.shared.SyncMode['INCREMENTAL'], max_length=12)),
                ('dry_run', models.BooleanField(default=False)),
                ('state', models.CharField(choices=[(syncjobs.core.states.State['QUEUED'], 'queued'), (syncjobs.core.states.State['RUNNING'], 'running'), (syncjobs.core.states.State['HELD'], 'held'), (syncjobs.core.states.State['SUCCEEDED'], 'succeeded'), (syncjobs.core.states.State['PARTIAL'], 'partial'), (syncjobs.core.states.State['FAILED'], 'failed'), (syncjobs.core.states.State['TIMED_OUT'], 'timed out'), (syncjobs.core.states.State['CANCELLED'], 'cancelled')], default=syncjobs.core.states.State['QUEUED'], max_length=10)),
                ('verdict', models.CharField(blank=True, default='', max_length=40)),
                ('stage', models.CharField(blank=True, choices=[(syncjobs.core.states.Stage['INITIALIZING'], 'initializing'), (syncjobs.core.states.Stage['DETECTING_CHANGES'], 'detecting changes'), (syncjobs.core.states.Stage['PROCESSING_FILES'], 'processing files'), (syncjobs.core.states.Stage['UPDATING_EMBEDDINGS'], 'updating embeddings'), (syncjobs.core.states.Stage['FINALIZING'], 'finalizing')], default='', max_length=20)),
                ('percentage', models.FloatField(default=0)),
                ('current_file_index', models.PositiveBigIntegerField(default=0)),
                ('total_files', models.PositiveBigIntegerField(null=True)),
                ('files_added', models.PositiveBigIntegerField(default=0)),
                ('files_changed', models.PositiveBigIntegerField(default=0)),
                ('files_removed', models.PositiveBigIntegerField(default=0)),
                ('files_unchanged', models.PositiveBigIntegerField(default=0)),
                ('files_failed', models.PositiveBigIntegerField(default=0)),
                ('files_skipped', models.PositiveBigIntegerField(default=0)),
                ('files_deferred', models.PositiveBigIntegerField(default=0)),
                ('bytes_transferred', models.PositiveBigIntegerField(default=0)),
                ('dataset_version', models.PositiveIntegerField(null=True)),
                ('attempt', models.PositiveSmallIntegerField(default=0)),
                ('vain_attempts', models.PositiveSmallIntegerField(default=0)),
                ('crash_count', models.PositiveSmallIntegerField(default=0)),
                ('token', models.BigIntegerField(default=0)),
                ('lease_owner', models.CharField(max_length=100, null=True)),
                ('lease_expires_at', models.DateTimeField(null=True)),
                ('heartbeat_at', models.DateTimeField(null=True)),
                ('progress_at', models.DateTimeField(null=True)),
                ('expected_duration_s', models.FloatField(null=True)),
                ('deadline_s', models.FloatField(null=True)),
                ('address', models.CharField(blank=True, default='', max_length=300)),
                ('dialled', models.CharField(blank=True, default='', max_length=300)),
                ('not_before', models.DateTimeField(null=True)),
                ('rung_at', models.DateTimeField(null=True)),
                ('requested_by', models.CharField(blank=True, default='', max_length=150)),
                ('cancel_asked_at', models.DateTimeField(null=True)),
                ('cancel_asked_by', models.CharField(blank=True, default='', max_length=150)),
                ('hold', models.JSONField(null=True)),
                ('files_cleared', models.PositiveBigIntegerField(default=0)),
                ('files_left', models.PositiveBigIntegerField(default=0)),
                ('warning', models.TextField(blank=True, default='')),
                ('guards_waived', models.BooleanField(default=False)),
                ('plan', models.JSONField(null=True)),
                ('applies_id', models.UUIDField(null=True)),
                ('drift', models.JSONField(null=True)),
                ('waiting_for', models.CharField(blank=True, default='', max_length=200)),
                ('queued_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('error_code', models.CharField(blank=True, default='', max_length=40)),
                ('error', models.TextField(blank=True, default='')),
                ('backfill', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='records', to='syncjobs.backfill')),
                ('connector', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='sync_records', to='connectors.connector')),
                ('job', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='records', to='syncjobs.syncjob')),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='sync_records', to='workspaces.workspace')),
            ],
            options={
                'ordering': ['-queued_at'],
            },
        ),
        migrations.CreateModel(
            name='SyncItem',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('path', models.TextField()),
                ('action', models.CharField(choices=[('added', 'Added'), ('changed', 'Changed'), ('removed', 'Removed'), ('failed', 'Failed'), ('skipped', 'Skipped'), ('deleted', 'Deleted'), ('moved', 'Moved'), ('left', 'Left'), ('deferred', 'Deferred')], max_length=10)),
                ('size_bytes', models.PositiveBigIntegerField(null=True)),
                ('modified_ns', models.BigIntegerField(null=True)),
                ('etag', models.TextField(null=True)),
                ('sha256', models.BinaryField(max_length=32, null=True)),
                ('error_code', models.CharField(blank=True, default='', max_length=40)),
                ('message', models.TextField(blank=True, default='')),
                ('record', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='items', to='syncjobs.syncrecord')),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.AddIndex(
            model_name='syncjob',
            index=models.Index(condition=models.Q(('enabled', True), ('paused_at', None), models.Q(('next_run_at', None), _negated=True)), fields=['next_run_at'], include=('id', 'workspace', 'connector'), name='job_due'),
        ),
        migrations.AddConstraint(
            model_name='syncjob',
            constraint=models.UniqueConstraint(fields=('workspace', 'name'), name='job_name_in_workspace'),
        ),
        migrations.AddConstraint(
            model_name='syncjob',
            constraint=models.UniqueConstraint(condition=models.Q(('is_default', True)), fields=('connector',), name='job_one_default'),
        ),
        migrations.AddConstraint(
            model_name='syncjob',
            constraint=models.CheckConstraint(condition=models.Q(('after_publish', 'keep'), ('on_delete', 'ignore'), _connector='OR'), name='job_cleared_source_removes_nothing'),
        ),
        migrations.AddConstraint(
            model_name='dependency',
            constraint=models.UniqueConstraint(fields=('job', 'parent'), name='dependency_once'),
        ),
        migrations.AddConstraint(
            model_name='dependency',
            constraint=models.CheckConstraint(condition=models.Q(('job', models.F('parent')), _negated=True), name='dependency_not_on_itself'),
        ),
        migrations.AddIndex(
            model_name='backfill',
            index=models.Index(condition=models.Q(('state', 'active')), fields=['created_at'], name='backfill_active'),
        ),
        migrations.AddIndex(
            model_name='backfill',
            index=models.Index(fields=['workspace', '-created_at'], name='backfill_of_workspace'),
        ),
        migrations.AddIndex(
            model_name='syncrecord',
            index=models.Index(condition=models.Q(('state', syncjobs.core.states.State['RUNNING'])), fields=['lease_expires_at'], name='record_leased'),
        ),
        migrations.AddIndex(
            model_name='syncrecord',
            index=models.Index(models.F('workspace'), django.db.models.functions.comparison.Coalesce('not_before', 'queued_at'), condition=models.Q(('state', syncjobs.core.states.State['QUEUED'])), name='record_waiting'),
        ),
        migrations.AddIndex(
            model_name='syncrecord',
            index=models.Index(condition=models.Q(('state', syncjobs.core.states.State['RUNNING'])), fields=['workspace'], name='record_running_in'),
        ),
        migrations.AddIndex(
            model_name='syncrecord',
            index=models.Index(condition=models.Q(('state', syncjobs.core.states.State['RUNNING'])), fields=['connector'], name='record_running_from'),
        ),
        migrations.AddIndex(
            model_name='syncrecord',
            index=models.Index(condition=models.Q(('state', syncjobs.core.states.State['RUNNING'])), fields=['dialled'], name='record_running_at'),
        ),
        migrations.AddIndex(
            model_name='syncrecord',
            index=models.Index(condition=models.Q(('state__in', [syncjobs.core.states.State['HELD'], syncjobs.core.states.State['QUEUED'], syncjobs.core.states.State['RUNNING']]), models.Q(('backfill', None), _negated=True)), fields=['backfill'], name='record_backfilling'),
        ),
        migrations.AddIndex(
            model_name='syncrecord',
            index=models.Index(fields=['job', '-queued_at'], name='record_of_job'),
        ),
        migrations.AddIndex(
            model_name='syncrecord',
            index=models.Index(fields=['connector', '-queued_at'], name='record_of_connector'),
        ),
        migrations.AddIndex(
            model_name='syncrecord',
            index=models.Index(fields=['workspace', '-queued_at'], name='record_of_workspace'),
        ),
        migrations.AddIndex(
            model_name='syncrecord',
            index=models.Index(fields=['workspace', 'state', '-queued_at'], name='record_in_state'),
        ),
        migrations.AddIndex(
            model_name='syncrecord',
            index=models.Index(fields=['-queued_at'], name='record_latest'),
        ),
        migrations.AddIndex(
            model_name='syncrecord',
            index=models.Index(condition=models.Q(('state__in', [syncjobs.core.states.State['FAILED'], syncjobs.core.states.State['TIMED_OUT'], syncjobs.core.states.State['PARTIAL']])), fields=['-queued_at'], name='record_troubled'),
        ),
        migrations.AddIndex(
            model_name='syncrecord',
            index=models.Index(condition=models.Q(('state', syncjobs.core.states.State['HELD'])), fields=['-queued_at'], name='record_held'),
        ),
        migrations.AddConstraint(
            model_name='syncrecord',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('heartbeat_at__isnull', False), ('lease_expires_at__isnull', False), ('lease_owner__isnull', False), ('started_at__isnull', False), ('state', syncjobs.core.states.State['RUNNING'])), models.Q(models.Q(('state', syncjobs.core.states.State['RUNNING']), _negated=True), ('lease_expires_at', None), ('lease_owner', None)), _connector='OR'), name='record_running_has_lease'),
        ),
        migrations.AddConstraint(
            model_name='syncrecord',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', False), ('state__in', [syncjobs.core.states.State['CANCELLED'], syncjobs.core.states.State['FAILED'], syncjobs.core.states.State['PARTIAL'], syncjobs.core.states.State['SUCCEEDED'], syncjobs.core.states.State['TIMED_OUT']])), models.Q(models.Q(('state__in', [syncjobs.core.states.State['CANCELLED'], syncjobs.core.states.State['FAILED'], syncjobs.core.states.State['PARTIAL'], syncjobs.core.states.State['SUCCEEDED'], syncjobs.core.states.State['TIMED_OUT']]), _negated=True), ('finished_at', None)), _connector='OR'), name='record_final_has_end'),
        ),
        migrations.AddConstraint(
            model_name='syncrecord',
            constraint=models.UniqueConstraint(condition=models.Q(models.Q(('scheduled_for', None), _negated=True), models.Q(('trigger', 'backfill'), _negated=True)), fields=('job', 'scheduled_for'), name='record_once_per_fire'),
        ),
        migrations.AddConstraint(
            model_name='syncrecord',
            constraint=models.UniqueConstraint(condition=models.Q(('backfill', None), _negated=True), fields=('backfill', 'scheduled_for'), name='record_once_per_backfilled_fire'),
        ),
        migrations.AddConstraint(
            model_name='syncrecord',
            constraint=models.UniqueConstraint(condition=models.Q(('applies_id', None), ('backfill', None), ('dry_run', False), ('state', syncjobs.core.states.State['QUEUED'])), fields=('job',), name='record_one_queued'),
        ),
        migrations.AddConstraint(
            model_name='syncrecord',
            constraint=models.UniqueConstraint(condition=models.Q(models.Q(('applies_id', None), _negated=True), models.Q(('state__in', [syncjobs.core.states.State['FAILED'], syncjobs.core.states.State['TIMED_OUT'], syncjobs.core.states.State['CANCELLED']]), _negated=True)), fields=('applies_id',), name='record_plan_applied_once'),
        ),
        migrations.AddConstraint(
            model_name='syncrecord',
            constraint=models.UniqueConstraint(condition=models.Q(('state', syncjobs.core.states.State['RUNNING'])), fields=('job',), name='record_one_running'),
        ),
        migrations.AddIndex(
            model_name='syncitem',
            index=models.Index(fields=['record', 'id'], name='item_page'),
        ),
        migrations.AddIndex(
            model_name='syncitem',
            index=models.Index(fields=['record', 'action', 'id'], name='item_of_record'),
        ),
        migrations.AddField(
            model_name='syncjob',
            name='cursor',
            field=models.JSONField(blank=True, default=dict, null=True),
        ),
        migrations.AddField(
            model_name='syncjob',
            name='key',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), blank=True, default=list, size=None),
        ),
        migrations.AddField(
            model_name='syncjob',
            name='overrides',
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name='syncjob',
            name='row_errors_max_share',
            field=models.FloatField(default=0.01),
        ),
        migrations.AddField(
            model_name='syncrecord',
            name='cursor_column',
            field=models.TextField(blank=True, default=''),
        ),
        migrations.AddField(
            model_name='syncrecord',
            name='mark',
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name='syncrecord',
            name='rows_added',
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='syncrecord',
            name='rows_changed',
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='syncrecord',
            name='rows_duplicate',
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='syncrecord',
            name='rows_failed',
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='syncrecord',
            name='rows_read',
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='syncrecord',
            name='rows_removed',
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='syncrecord',
            name='rows_unchanged',
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='syncrecord',
            name='rows_without_cursor',
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='syncrecord',
            name='tables',
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name='syncrecord',
            name='values_nulled',
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AlterField(
            model_name='backfill',
            name='trigger',
            field=models.CharField(choices=[('schedule', 'Schedule'), ('manual', 'Manual'), ('mcp', 'MCP'), ('after', 'After'), ('backfill', 'Backfill'), ('resync', 'Resync'), ('redrive', 'Redrive')], default='backfill', max_length=10),
        ),
        migrations.AlterField(
            model_name='syncrecord',
            name='trigger',
            field=models.CharField(choices=[('schedule', 'Schedule'), ('manual', 'Manual'), ('mcp', 'MCP'), ('after', 'After'), ('backfill', 'Backfill'), ('resync', 'Resync'), ('redrive', 'Redrive')], max_length=10),
        ),
        migrations.CreateModel(
            name='QuarantinedRow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('open', 'Open'), ('redriven', 'Redriven'), ('dropped', 'Dropped')], default='open', max_length=10)),
                ('table', models.TextField()),
                ('key', models.JSONField(null=True)),
                ('path', models.TextField(null=True)),
                ('line', models.PositiveBigIntegerField(null=True)),
                ('column', models.TextField(null=True)),
                ('code', models.CharField(max_length=20)),
                ('message', models.TextField()),
                ('raw', models.BinaryField()),
                ('raw_complete', models.BooleanField(default=True)),
                ('values', models.JSONField(null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('record', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='quarantine', to='syncjobs.syncrecord')),
            ],
            options={
                'ordering': ['id'],
                'indexes': [models.Index(fields=['record', 'id'], name='quarantine_of_record')],
            },
        ),
        migrations.AddField(
            model_name='syncjob',
            name='columns',
            field=models.JSONField(blank=True, default=None, null=True),
        ),
        migrations.AddField(
            model_name='syncjob',
            name='destination',
            field=models.JSONField(blank=True, default=None, null=True),
        ),
        migrations.AddField(
            model_name='syncjob',
            name='entities',
            field=models.JSONField(blank=True, default=None, null=True),
        ),
        migrations.AddField(
            model_name='syncjob',
            name='entity',
            field=models.JSONField(blank=True, default=None, null=True),
        ),
        migrations.AlterField(
            model_name='syncjob',
            name='on_delete',
            field=models.CharField(choices=[('keep_version', 'keep version'), ('ignore', 'ignore'), ('mark', 'mark')], default='keep_version', max_length=12),
        ),
        migrations.AddField(
            model_name='syncjob',
            name='on_row_error',
            field=models.CharField(choices=[('quarantine', 'quarantine'), ('fail', 'fail')], default='quarantine', max_length=10),
        ),
        migrations.AddField(
            model_name='syncjob',
            name='on_schema_change',
            field=models.CharField(choices=[('extend', 'extend'), ('hold', 'hold'), ('ignore', 'ignore')], default='extend', max_length=10),
        ),
        migrations.RemoveConstraint(
            model_name='syncrecord',
            name='record_one_queued',
        ),
        migrations.AddField(
            model_name='syncrecord',
            name='redrive',
            field=models.JSONField(null=True),
        ),
        migrations.AddConstraint(
            model_name='syncrecord',
            constraint=models.UniqueConstraint(condition=models.Q(('applies_id', None), ('backfill', None), ('dry_run', False), ('state', syncjobs.core.states.State['QUEUED']), models.Q(('trigger', 'redrive'), _negated=True)), fields=('job',), name='record_one_queued'),
        ),
        migrations.AddField(
            model_name='eventtotal',
            name='rows_added',
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='eventtotal',
            name='rows_changed',
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='eventtotal',
            name='rows_failed',
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='eventtotal',
            name='rows_read',
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='eventtotal',
            name='rows_removed',
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='eventtotal',
            name='rows_unchanged',
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='syncjob',
            name='source_dataset',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='following_jobs', to='datasets.dataset'),
        ),
        migrations.AddField(
            model_name='syncrecord',
            name='source_dataset',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reading_records', to='datasets.dataset'),
        ),
        migrations.AddField(
            model_name='syncrecord',
            name='source_version',
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AlterField(
            model_name='syncjob',
            name='connector',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='sync_jobs', to='connectors.connector'),
        ),
        migrations.AlterField(
            model_name='syncrecord',
            name='connector',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='sync_records', to='connectors.connector'),
        ),
        migrations.AddIndex(
            model_name='syncrecord',
            index=models.Index(condition=models.Q(('source_dataset', None), _negated=True), fields=['source_dataset'], name='record_of_source_dataset'),
        ),
        migrations.AddConstraint(
            model_name='syncjob',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('connector', None), ('source_dataset__isnull', False)), models.Q(('connector__isnull', False), ('source_dataset', None)), _connector='OR'), name='job_one_source'),
        ),
        migrations.AddConstraint(
            model_name='syncrecord',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('connector', None), ('source_dataset__isnull', False)), models.Q(('connector__isnull', False), ('source_dataset', None)), _connector='OR'), name='record_one_source'),
        ),
        migrations.AddField(
            model_name='syncjob',
            name='index',
            field=models.CharField(choices=[('words_and_meaning', 'words and meaning'), ('words', 'words'), ('off', 'off')], default='words_and_meaning', max_length=20),
        ),
        migrations.AddField(
            model_name='syncrecord',
            name='tries_until',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='syncrecord',
            name='waits_in_a_row',
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddIndex(
            model_name='syncrecord',
            index=models.Index(condition=models.Q(('state', syncjobs.core.states.State['QUEUED']), models.Q(('tries_until', None), _negated=True)), fields=['tries_until'], name='record_losing_hope'),
        ),
        migrations.CreateModel(
            name='PlannedFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('path', models.TextField(db_collation='C')),
                ('action', models.CharField(choices=[('added', 'added'), ('changed', 'changed'), ('removed', 'removed')], max_length=10)),
                ('size_bytes', models.PositiveBigIntegerField(null=True)),
                ('modified_ns', models.BigIntegerField(null=True)),
                ('record', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='planned_files', to='syncjobs.syncrecord')),
            ],
            options={
                'ordering': ['path'],
                'indexes': [models.Index(fields=['record', 'action', 'path'], name='planned_file_of_record')],
            },
        ),
        migrations.CreateModel(
            name='CurrentTree',
            fields=[
                ('job', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='tree', serialize=False, to='syncjobs.syncjob')),
                ('path', models.CharField(max_length=500)),
                ('version', models.PositiveIntegerField(null=True)),
                ('target', models.PositiveIntegerField(null=True)),
                ('warning', models.TextField(blank=True, default='')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.AddField(
            model_name='syncjob',
            name='current_tree',
            field=models.CharField(blank=True, default='', max_length=500),
        ),
        migrations.CreateModel(
            name='HourTotal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('workspace_id', models.UUIDField()),
                ('hour', models.DateTimeField(db_index=True)),
                ('state', models.CharField(max_length=10)),
                ('records', models.PositiveBigIntegerField(default=0)),
                ('files', models.PositiveBigIntegerField(default=0)),
                ('bytes_transferred', models.PositiveBigIntegerField(default=0)),
                ('held_bytes', models.BigIntegerField(default=0)),
            ],
        ),
        migrations.AddField(
            model_name='syncrecord',
            name='total_bytes',
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddIndex(
            model_name='syncrecord',
            index=models.Index(condition=models.Q(('verdict', 'suspect')), fields=['-queued_at'], name='record_suspect'),
        ),
        migrations.AddConstraint(
            model_name='hourtotal',
            constraint=models.UniqueConstraint(fields=('workspace_id', 'hour', 'state'), name='hour_total_once'),
        ),
    ]
