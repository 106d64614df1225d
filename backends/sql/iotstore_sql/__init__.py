"""What SQL backends share: tables and statements made from layouts, schema operations, and the sessions above them.

SQLAlchemy describes and compiles, once per shape of a statement; the text is cached and the driver's own cursor
executes it. A new SQL database is a ``Dialect`` and the few methods that ``SqlReads`` and ``SqlWrites`` leave open.
"""

from iotstore_sql.dialect import Dialect, Parameters
from iotstore_sql.sessions import SqlReads, SqlWrites
from iotstore_sql.statements import Prepared, Statements

__all__ = ["Dialect", "Parameters", "Prepared", "SqlReads", "SqlWrites", "Statements"]
