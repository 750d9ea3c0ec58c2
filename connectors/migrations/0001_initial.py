import django.contrib.postgres.fields
import django.core.validators
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
            name='Connector',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100, validators=[django.core.validators.RegexValidator('\\A[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,98}[A-Za-z0-9._-])?\\Z', "use letters, digits, blanks, '.', '_' and '-', at most 100, beginning with a letter or digit")])),
                ('kind', models.CharField(max_length=20)),
                ('host', models.CharField(max_length=255)),
                ('port', models.PositiveIntegerField(validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(65535)])),
                ('options', models.JSONField(blank=True, default=dict)),
                ('sealed_secret', models.TextField(blank=True, default='', editable=False)),
                ('status', models.CharField(choices=[('active', 'Active'), ('paused', 'Paused')], default='active', max_length=10)),
                ('auto_sync', models.BooleanField(default=False)),
                ('sync_interval_s', models.PositiveIntegerField(default=3600, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(31536000)], verbose_name='sync interval (s)')),
                ('max_running', models.PositiveSmallIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)])),
                ('last_sync_at', models.DateTimeField(editable=False, null=True)),
                ('last_sync_status', models.CharField(blank=True, default='', editable=False, max_length=10)),
                ('last_sync_error', models.TextField(blank=True, default='', editable=False)),
                ('last_test_at', models.DateTimeField(editable=False, null=True)),
                ('last_test', models.JSONField(editable=False, null=True)),
                ('capabilities', models.JSONField(editable=False, null=True)),
                ('capabilities_at', models.DateTimeField(editable=False, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='connectors', to='workspaces.workspace')),
                ('entities', models.JSONField(blank=True, default=dict)),
                ('last_attempt_at', models.DateTimeField(editable=False, null=True)),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.UniqueConstraint(fields=('workspace', 'name'), name='connector_name_in_workspace'), models.CheckConstraint(condition=models.Q(('port__gte', 1), ('port__lte', 65535)), name='connector_port_range')],
            },
        ),
        migrations.CreateModel(
            name='HostBudget',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('address', models.CharField(max_length=300)),
                ('failures', models.PositiveIntegerField(default=0)),
                ('opened_until', models.DateTimeField(null=True)),
                ('hold_until', models.DateTimeField(null=True)),
                ('max_running', models.PositiveSmallIntegerField(null=True)),
                ('learned_at', models.DateTimeField(null=True)),
                ('last_error', models.TextField(blank=True, default='')),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='host_budgets', to='workspaces.workspace')),
            ],
            options={
                'ordering': ['address'],
                'constraints': [models.UniqueConstraint(fields=('workspace', 'address'), name='budget_once_per_host')],
            },
        ),
        migrations.CreateModel(
            name='FarEndWatch',
            fields=[
                ('connector', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='far_end_watch', serialize=False, to='connectors.connector')),
                ('watch', models.BooleanField(default=True)),
                ('state', models.CharField(default='unknown', max_length=10)),
                ('since', models.DateTimeField(null=True)),
                ('told', models.CharField(default='unknown', max_length=10)),
                ('last_check_at', models.DateTimeField(null=True)),
                ('last_success_at', models.DateTimeField(null=True)),
                ('last_failure_at', models.DateTimeField(null=True)),
                ('failures', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True, default='')),
                ('changes', django.contrib.postgres.fields.ArrayField(base_field=models.DateTimeField(), default=list, size=None)),
                ('due_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True)),
                ('came_back', models.BooleanField(default=False)),
                ('looks', models.JSONField(default=list)),
            ],
            options={
                'verbose_name_plural': 'far end watches',
                'indexes': [models.Index(condition=models.Q(('came_back', True)), fields=['connector'], name='watch_came_back')],
            },
        ),
        migrations.CreateModel(
            name='SourceListing',
            fields=[
                ('connector', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='source_listing', serialize=False, to='connectors.connector')),
                ('source', models.CharField(max_length=64)),
                ('listed_at', models.DateTimeField(null=True)),
                ('complete', models.BooleanField(default=False)),
                ('entries', models.BinaryField(default=b'')),
                ('tried_at', models.DateTimeField()),
                ('error', models.TextField(blank=True, default='')),
            ],
        ),
    ]
