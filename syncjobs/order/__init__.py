"""One definition of a job: its options with all that surfaces need to know of them.

YAML, REST, the console's form, the docs and the columns' defaults are derived from here. An option is a field of a
frozen dataclass, declared with `job_option(...)`; what belongs to one kind of work is a part of its own.
"""
