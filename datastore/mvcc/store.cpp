#include "datastore/mvcc/store.h"

#include "datastore/mvcc/compaction.h"
