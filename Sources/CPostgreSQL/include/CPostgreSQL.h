// libpq, which is loaded at its first use. A relay that keeps mail in SQLite needs no PostgreSQL on the machine,
// neither to build nor to run.
//
// The declarations are those of the functions that the store calls (PostgreSQL documentation, chapter "libpq"). They
// are unchanged in version 5 of the library since PostgreSQL 14, which introduced pipeline mode.
#pragma once
#include <stddef.h>

typedef struct pg_conn PGconn;
typedef struct pg_result PGresult;
typedef void (*PQnoticeReceiver)(void *argument, const PGresult *result);

typedef enum { PQ_CONNECTION_OK = 0, PQ_CONNECTION_BAD = 1 } PQConnectionStatus;

typedef enum {
    PQ_EMPTY_QUERY = 0,
    PQ_COMMAND_OK = 1,
    PQ_TUPLES_OK = 2,
    PQ_FATAL_ERROR = 7,
    PQ_PIPELINE_SYNC = 10,
    PQ_PIPELINE_ABORTED = 11,
} PQResultStatus;

// Field codes of PQresultErrorField.
enum { PQ_SEVERITY_NONLOCALIZED = 'V', PQ_SQLSTATE = 'C', PQ_MESSAGE_PRIMARY = 'M' };

typedef struct {
    char *keyword;
    char *envvar;
    char *compiled;
    char *val;
    char *label;
    char *dispchar;
    int dispsize;
} PQConninfoOption;

// Loads the library. Returns NULL, or the reason why it can't be loaded. Must be called before all other functions. Any
// thread may call it, any number of times.
const char *pq_load(void);

int pq_library_version(void);
PGconn *pq_connect(const char *const *keywords, const char *const *values, int expand_dbname);
void pq_finish(PGconn *connection);
PQConnectionStatus pq_status(const PGconn *connection);
const char *pq_error_message(const PGconn *connection);
int pq_socket(const PGconn *connection);
int pq_server_version(const PGconn *connection);
int pq_set_nonblocking(PGconn *connection, int on);
int pq_enter_pipeline_mode(PGconn *connection);
int pq_pipeline_sync(PGconn *connection);
int pq_send_prepare(PGconn *connection, const char *name, const char *query, int count, const unsigned int *types);
int pq_send_prepared(
    PGconn *connection, const char *name, int count, const char *const *values, const int *lengths, const int *formats,
    int result_format);
int pq_send_params(
    PGconn *connection, const char *query, int count, const unsigned int *types, const char *const *values,
    const int *lengths, const int *formats, int result_format);
int pq_flush(PGconn *connection);
int pq_consume_input(PGconn *connection);
int pq_is_busy(PGconn *connection);
PGresult *pq_get_result(PGconn *connection);
PQnoticeReceiver pq_set_notice_receiver(PGconn *connection, PQnoticeReceiver receiver, void *argument);

PQResultStatus pq_result_status(const PGresult *result);
const char *pq_result_error_field(const PGresult *result, int field);
void pq_clear(PGresult *result);
int pq_rows(const PGresult *result);
int pq_columns(const PGresult *result);
unsigned int pq_type(const PGresult *result, int column);
int pq_is_null(const PGresult *result, int row, int column);
const char *pq_value(const PGresult *result, int row, int column);
int pq_length(const PGresult *result, int row, int column);
const char *pq_rows_affected(PGresult *result);

PQConninfoOption *pq_conninfo_parse(const char *conninfo, char **error);
void pq_conninfo_free(PQConninfoOption *options);
void pq_free(void *pointer);
