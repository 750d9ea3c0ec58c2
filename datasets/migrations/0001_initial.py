import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('workspaces', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Installation',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('name', models.UUIDField(default=uuid.uuid4)),
                ('former', models.UUIDField(null=True)),
                ('store_id', models.UUIDField(null=True)),
                ('place', models.CharField(blank=True, default='', max_length=60)),
                ('noted_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='installation_once')],
            },
        ),
        migrations.CreateModel(
            name='Dataset',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100)),
                ('kind', models.CharField(choices=[('files', 'Files'), ('table', 'Table')], default='files', editable=False, max_length=10)),
                ('fencing_token', models.BigIntegerField(default=0, editable=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='datasets', to='workspaces.workspace')),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='Entry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('path', models.TextField(db_collation='C')),
                ('size_bytes', models.PositiveBigIntegerField()),
                ('modified_ns', models.BigIntegerField(null=True)),
                ('etag', models.TextField(null=True)),
                ('sha256', models.BinaryField(max_length=32)),
                ('settled', models.BooleanField(default=True)),
                ('content_type', models.TextField(null=True)),
                ('source', models.TextField(null=True)),
                ('seen_modified_ns', models.BigIntegerField(null=True)),
                ('since', models.PositiveIntegerField()),
                ('until', models.PositiveIntegerField(null=True)),
                ('dataset', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='entries', to='datasets.dataset')),
            ],
            options={
                'verbose_name_plural': 'entries',
            },
        ),
        migrations.CreateModel(
            name='PackedBlob',
            fields=[
                ('pk', models.CompositePrimaryKey('workspace_id', 'sha256', blank=True, editable=False, primary_key=True, serialize=False)),
                ('sha256', models.BinaryField(max_length=32)),
                ('pack', models.UUIDField(db_index=True)),
                ('offset', models.PositiveBigIntegerField()),
                ('size_bytes', models.PositiveIntegerField()),
                ('stored_at', models.DateTimeField()),
                ('workspace', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='workspaces.workspace')),
            ],
        ),
        migrations.CreateModel(
            name='DamagedBlob',
            fields=[
                ('pk', models.CompositePrimaryKey('workspace_id', 'sha256', blank=True, editable=False, primary_key=True, serialize=False)),
                ('sha256', models.BinaryField(max_length=32)),
                ('damage', models.CharField(max_length=20)),
                ('found_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='workspaces.workspace')),
            ],
        ),
        migrations.CreateModel(
            name='Receipt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('record_id', models.UUIDField()),
                ('path', models.TextField(db_collation='C')),
                ('listed_size_bytes', models.PositiveBigIntegerField(null=True)),
                ('listed_modified_ns', models.BigIntegerField(null=True)),
                ('listed_etag', models.TextField(null=True)),
                ('size_bytes', models.PositiveBigIntegerField()),
                ('modified_ns', models.BigIntegerField(null=True)),
                ('etag', models.TextField(null=True)),
                ('sha256', models.BinaryField(max_length=32)),
                ('settled', models.BooleanField()),
                ('content_type', models.TextField(null=True)),
                ('landed', models.TextField(null=True)),
                ('source', models.TextField(null=True)),
                ('dataset', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='receipts', to='datasets.dataset')),
            ],
        ),
        migrations.CreateModel(
            name='Version',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('is_current', models.BooleanField(default=True)),
                ('record_id', models.UUIDField(db_index=True, null=True)),
                ('restores', models.PositiveIntegerField(null=True)),
                ('restored_by', models.CharField(blank=True, db_default='', max_length=150)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('file_count', models.PositiveBigIntegerField()),
                ('size_bytes', models.PositiveBigIntegerField()),
                ('files_added', models.PositiveBigIntegerField(default=0)),
                ('files_changed', models.PositiveBigIntegerField(default=0)),
                ('files_removed', models.PositiveBigIntegerField(default=0)),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='versions', to='datasets.dataset')),
            ],
            options={
                'ordering': ['-number'],
            },
        ),
        migrations.AddConstraint(
            model_name='dataset',
            constraint=models.UniqueConstraint(fields=('workspace', 'name'), name='dataset_name_in_workspace'),
        ),
        migrations.AddIndex(
            model_name='entry',
            index=models.Index(fields=['dataset', 'path', 'since'], name='entry_history'),
        ),
        migrations.AddIndex(
            model_name='entry',
            index=models.Index(condition=models.Q(('until', None), _negated=True), fields=['dataset', 'until'], name='entry_ended'),
        ),
        migrations.AddIndex(
            model_name='entry',
            index=models.Index(condition=models.Q(('since__gt', 1)), fields=['dataset', 'since'], name='entry_begun'),
        ),
        migrations.AddConstraint(
            model_name='entry',
            constraint=models.UniqueConstraint(condition=models.Q(('until', None)), fields=('dataset', 'path'), name='entry_one_current'),
        ),
        migrations.AddConstraint(
            model_name='entry',
            constraint=models.CheckConstraint(condition=models.Q(('until', None), ('until__gt', models.F('since')), _connector='OR'), name='entry_interval_forward'),
        ),
        migrations.AddConstraint(
            model_name='receipt',
            constraint=models.UniqueConstraint(fields=('dataset', 'path'), name='receipt_once_per_path'),
        ),
        migrations.AddConstraint(
            model_name='version',
            constraint=models.UniqueConstraint(fields=('dataset', 'number'), name='version_number_once'),
        ),
        migrations.AddConstraint(
            model_name='version',
            constraint=models.UniqueConstraint(condition=models.Q(('is_current', True)), fields=('dataset',), name='version_one_current'),
        ),
        migrations.AddField(
            model_name='version',
            name='mark',
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name='version',
            name='rows',
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='version',
            name='rows_added',
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='version',
            name='rows_changed',
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='version',
            name='rows_removed',
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='version',
            name='tables_changed',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), null=True, size=None),
        ),
        migrations.CreateModel(
            name='Table',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.TextField(db_collation='C')),
                ('connector_id', models.UUIDField(null=True)),
                ('schema', models.CharField(max_length=63)),
                ('relation', models.CharField(max_length=63)),
                ('key', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), default=list, size=None)),
                ('keyless', models.BooleanField(default=False)),
                ('version', models.PositiveIntegerField(null=True)),
                ('rows', models.PositiveBigIntegerField(default=0)),
                ('mark', models.JSONField(null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('dataset', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='tables', to='datasets.dataset')),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='TableColumn',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveIntegerField()),
                ('source_name', models.TextField()),
                ('name', models.CharField(max_length=63)),
                ('source_type', models.TextField()),
                ('type', models.TextField()),
                ('nullable', models.BooleanField(default=True)),
                ('in_key', models.BooleanField(default=False)),
                ('since', models.PositiveIntegerField()),
                ('until', models.PositiveIntegerField(null=True)),
                ('table', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='columns', to='datasets.table')),
            ],
            options={
                'ordering': ['position', 'since'],
            },
        ),
        migrations.CreateModel(
            name='TableVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('rows', models.PositiveBigIntegerField()),
                ('rows_added', models.PositiveBigIntegerField()),
                ('rows_changed', models.PositiveBigIntegerField()),
                ('rows_removed', models.PositiveBigIntegerField()),
                ('mark', models.JSONField(null=True)),
                ('table', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='versions', to='datasets.table')),
            ],
            options={
                'ordering': ['-number'],
            },
        ),
        migrations.AddConstraint(
            model_name='table',
            constraint=models.UniqueConstraint(fields=('dataset', 'name'), name='table_name_in_dataset'),
        ),
        migrations.AddConstraint(
            model_name='table',
            constraint=models.UniqueConstraint(fields=('connector_id', 'schema', 'relation'), name='table_filled_by_one', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='tablecolumn',
            constraint=models.UniqueConstraint(fields=('table', 'name', 'since'), name='column_once_since'),
        ),
        migrations.AddConstraint(
            model_name='tablecolumn',
            constraint=models.UniqueConstraint(condition=models.Q(('until', None)), fields=('table', 'name'), name='column_one_current'),
        ),
        migrations.AddConstraint(
            model_name='tableversion',
            constraint=models.UniqueConstraint(fields=('table', 'number'), name='table_version_once'),
        ),
        migrations.AddField(
            model_name='tablecolumn',
            name='withdrawn',
            field=models.BooleanField(db_default=False),
        ),
        migrations.AddIndex(
            model_name='entry',
            index=models.Index(condition=models.Q(('until', None)), fields=['dataset', 'sha256'], name='entry_content'),
        ),
        migrations.AddField(
            model_name='dataset',
            name='deleted_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='entry',
            name='arrived',
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='version',
            name='expired_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddConstraint(
            model_name='version',
            constraint=models.CheckConstraint(condition=models.Q(('is_current', False), ('expired_at', None), _connector='OR'), name='version_current_is_kept'),
        ),
        migrations.AddField(
            model_name='table',
            name='cleared_to',
            field=models.PositiveIntegerField(default=0),
        ),
    ]
