import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('datasets', '0001_initial'),
        ('workspaces', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='SearchChoice',
            fields=[
                ('workspace', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='search_choice', serialize=False, to='workspaces.workspace')),
                ('embedding', models.JSONField(null=True)),
                ('sealed_key', models.TextField(blank=True, default='')),
                ('languages', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), null=True, size=None)),
            ],
        ),
        migrations.CreateModel(
            name='IndexedText',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sha256', models.BinaryField(max_length=32)),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('done', 'Done'), ('refused', 'Refused')], default='pending', max_length=8)),
                ('code', models.CharField(blank=True, default='', max_length=30)),
                ('note', models.TextField(blank=True, default='')),
                ('kind', models.CharField(blank=True, default='', max_length=20)),
                ('chunk_count', models.PositiveIntegerField(default=0)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('gone_at', models.DateTimeField(null=True)),
                ('dataset', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='datasets.dataset')),
                ('workspace', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='workspaces.workspace')),
            ],
        ),
        migrations.CreateModel(
            name='IndexGeneration',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('service', models.CharField(max_length=20)),
                ('model', models.CharField(max_length=200)),
                ('dimensions', models.PositiveIntegerField()),
                ('signature', models.CharField(max_length=64)),
                ('state', models.CharField(choices=[('building', 'Building'), ('serving', 'Serving'), ('retired', 'Retired')], default='building', max_length=10)),
                ('made_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('ready_at', models.DateTimeField(null=True)),
                ('total_chunks', models.PositiveBigIntegerField(default=0)),
                ('done_chunks', models.PositiveBigIntegerField(default=0)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='generations', to='workspaces.workspace')),
            ],
        ),
        migrations.CreateModel(
            name='EmbeddingState',
            fields=[
                ('workspace', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='embedding_state', serialize=False, to='workspaces.workspace')),
                ('failures', models.PositiveIntegerField(default=0)),
                ('not_before', models.DateTimeField(null=True)),
                ('code', models.CharField(blank=True, default='', max_length=30)),
                ('detail', models.TextField(blank=True, default='')),
                ('generation', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='search.indexgeneration')),
            ],
        ),
        migrations.CreateModel(
            name='TextChunk',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('n', models.PositiveIntegerField()),
                ('line', models.PositiveIntegerField(null=True)),
                ('place', models.TextField(blank=True, default='')),
                ('heading', models.TextField(blank=True, default='')),
                ('body', models.TextField()),
                ('digest', models.BinaryField(max_length=16)),
                ('words', django.contrib.postgres.search.SearchVectorField()),
                ('dataset', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='datasets.dataset')),
                ('text', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='chunks', to='search.indexedtext')),
                ('workspace', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='workspaces.workspace')),
            ],
        ),
        migrations.CreateModel(
            name='ChunkRefusal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(max_length=30)),
                ('note', models.TextField(blank=True, default='')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('dataset', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='datasets.dataset')),
                ('workspace', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='workspaces.workspace')),
                ('generation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='refusals', to='search.indexgeneration')),
                ('chunk', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='refusals', to='search.textchunk')),
            ],
        ),
        migrations.CreateModel(
            name='DatasetIndex',
            fields=[
                ('dataset', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='search_index', serialize=False, to='datasets.dataset')),
                ('wish', models.CharField(choices=[('words_and_meaning', 'Words And Meaning'), ('words', 'Words'), ('off', 'Off')], default='words_and_meaning', max_length=20)),
                ('state', models.CharField(choices=[('off', 'Off'), ('current', 'Current'), ('catching_up', 'Catching Up'), ('blocked', 'Blocked')], default='catching_up', max_length=12)),
                ('indexed_version', models.PositiveIntegerField(null=True)),
                ('recipe', models.CharField(db_default='', max_length=64)),
                ('pending_texts', models.PositiveBigIntegerField(default=0)),
                ('pending_chunks', models.PositiveBigIntegerField(default=0)),
                ('since', models.DateTimeField(null=True)),
                ('reason', models.TextField(blank=True, default='')),
                ('text_count', models.PositiveBigIntegerField(default=0)),
                ('chunk_count', models.PositiveBigIntegerField(default=0)),
                ('refused_count', models.PositiveBigIntegerField(default=0)),
                ('token', models.BigIntegerField(default=0)),
                ('owner', models.CharField(blank=True, default='', max_length=100)),
                ('leased_until', models.DateTimeField(null=True)),
                ('not_before', models.DateTimeField(null=True)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='workspaces.workspace')),
            ],
            options={
                'verbose_name_plural': 'dataset indexes',
                'indexes': [models.Index(condition=models.Q(('state__in', ['catching_up', 'blocked'])), fields=['not_before'], name='index_behind')],
            },
        ),
        migrations.AddIndex(
            model_name='indexedtext',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['dataset', 'at'], name='text_pending'),
        ),
        migrations.AddIndex(
            model_name='indexedtext',
            index=models.Index(condition=models.Q(('state', 'refused')), fields=['dataset', 'id'], name='text_refused'),
        ),
        migrations.AddIndex(
            model_name='indexedtext',
            index=models.Index(condition=models.Q(('gone_at', None), _negated=True), fields=['dataset', 'gone_at'], name='text_gone'),
        ),
        migrations.AddConstraint(
            model_name='indexedtext',
            constraint=models.UniqueConstraint(fields=('dataset', 'sha256'), name='text_once_in_dataset'),
        ),
        migrations.AddConstraint(
            model_name='indexgeneration',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'serving')), fields=('workspace',), name='generation_one_serving'),
        ),
        migrations.AddConstraint(
            model_name='indexgeneration',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'building')), fields=('workspace',), name='generation_one_building'),
        ),
        migrations.AddIndex(
            model_name='textchunk',
            index=models.Index(fields=['workspace', 'digest'], name='chunk_digest'),
        ),
        migrations.AddIndex(
            model_name='textchunk',
            index=django.contrib.postgres.indexes.GinIndex(fastupdate=True, fields=['words'], gin_pending_list_limit=65536, name='chunk_words'),
        ),
        migrations.AddConstraint(
            model_name='chunkrefusal',
            constraint=models.UniqueConstraint(fields=('chunk', 'generation'), name='chunk_refused_once'),
        ),
        migrations.RunSQL(
            sql='ALTER TABLE search_textchunk ALTER COLUMN words SET STATISTICS 1000',
            reverse_sql='ALTER TABLE search_textchunk ALTER COLUMN words SET STATISTICS -1',
        ),
        migrations.AddField(
            model_name='datasetindex',
            name='published_version',
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AlterField(
            model_name='textchunk',
            name='text',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='chunks', to='search.indexedtext'),
        ),
        migrations.CreateModel(
            name='EmbeddingCount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('outcome', models.CharField(max_length=30)),
                ('total', models.PositiveBigIntegerField(default=0)),
            ],
        ),
        migrations.AlterModelOptions(
            name='searchchoice',
            options={'verbose_name': 'search settings', 'verbose_name_plural': 'search settings'},
        ),
        migrations.RemoveField(
            model_name='searchchoice',
            name='sealed_key',
        ),
        migrations.AddField(
            model_name='datasetindex',
            name='rung_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='embeddingstate',
            name='most',
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='embeddingstate',
            name='needs_person',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='embeddingstate',
            name='turn',
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name='embeddingstate',
            name='turn_until',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='indexgeneration',
            name='embedding',
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name='indexgeneration',
            name='has_graph',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='indexgeneration',
            name='retired_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='indexgeneration',
            name='sealed_secret',
            field=models.TextField(blank=True, default='', editable=False),
        ),
        migrations.AddField(
            model_name='searchchoice',
            name='sealed_secret',
            field=models.TextField(blank=True, default='', editable=False),
        ),
        migrations.AlterField(
            model_name='indexgeneration',
            name='dimensions',
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AlterField(
            model_name='textchunk',
            name='dataset',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='datasets.dataset'),
        ),
        migrations.AddIndex(
            model_name='textchunk',
            index=models.Index(fields=['dataset', 'id'], name='chunk_in_order'),
        ),
        migrations.AddField(
            model_name='embeddingcount',
            name='workspace',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='workspaces.workspace'),
        ),
        migrations.AddConstraint(
            model_name='embeddingcount',
            constraint=models.UniqueConstraint(fields=('workspace', 'outcome'), name='embedding_count_once'),
        ),
    ]
