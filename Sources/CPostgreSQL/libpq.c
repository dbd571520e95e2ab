#include "CPostgreSQL.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

// Name within the library, name here, result, parameters, arguments.
#define FUNCTIONS(F)                                                                                                   \
    F(PQlibVersion, pq_library_version, int, (void), ())                                                               \
    F(PQconnectdbParams, pq_connect, PGconn *,                                                                         \
      (const char *const *keywords, const char *const *values, int expand_dbname), (keywords, values, expand_dbname))  \
    F(PQstatus, pq_status, PQConnectionStatus, (const PGconn *connection), (connection))                               \
    F(PQerrorMessage, pq_error_message, const char *, (const PGconn *connection), (connection))                        \
    F(PQsocket, pq_socket, int, (const PGconn *connection), (connection))                                              \
    F(PQserverVersion, pq_server_version, int, (const PGconn *connection), (connection))                               \
    F(PQsetnonblocking, pq_set_nonblocking, int, (PGconn * connection, int on), (connection, on))                      \
    F(PQenterPipelineMode, pq_enter_pipeline_mode, int, (PGconn * connection), (connection))                           \
    F(PQpipelineSync, pq_pipeline_sync, int, (PGconn * connection), (connection))                                      \
    F(PQsendPrepare, pq_send_prepare, int,                                                                             \
      (PGconn * connection, const char *name, const char *query, int count, const unsigned int *types),                \
      (connection, name, query, count, types))                                                                         \
    F(PQsendQueryPrepared, pq_send_prepared, int,                                                                      \
      (PGconn * connection, const char *name, int count, const char *const *values, const int *lengths,                \
       const int *formats, int result_format),                                                                         \
      (connection, name, count, values, lengths, formats, result_format))                                              \
    F(PQsendQueryParams, pq_send_params, int,                                                                          \
      (PGconn * connection, const char *query, int count, const unsigned int *types, const char *const *values,        \
       const int *lengths, const int *formats, int result_format),                                                     \
      (connection, query, count, types, values, lengths, formats, result_format))                                      \
    F(PQflush, pq_flush, int, (PGconn * connection), (connection))                                                     \
    F(PQconsumeInput, pq_consume_input, int, (PGconn * connection), (connection))                                      \
    F(PQisBusy, pq_is_busy, int, (PGconn * connection), (connection))                                                  \
    F(PQgetResult, pq_get_result, PGresult *, (PGconn * connection), (connection))                                     \
    F(PQsetNoticeReceiver, pq_set_notice_receiver, PQnoticeReceiver,                                                   \
      (PGconn * connection, PQnoticeReceiver receiver, void *argument), (connection, receiver, argument))              \
    F(PQresultStatus, pq_result_status, PQResultStatus, (const PGresult *result), (result))                            \
    F(PQresultErrorField, pq_result_error_field, const char *, (const PGresult *result, int field), (result, field))   \
    F(PQntuples, pq_rows, int, (const PGresult *result), (result))                                                     \
    F(PQnfields, pq_columns, int, (const PGresult *result), (result))                                                  \
    F(PQftype, pq_type, unsigned int, (const PGresult *result, int column), (result, column))                          \
    F(PQgetisnull, pq_is_null, int, (const PGresult *result, int row, int column), (result, row, column))              \
    F(PQgetvalue, pq_value, const char *, (const PGresult *result, int row, int column), (result, row, column))        \
    F(PQgetlength, pq_length, int, (const PGresult *result, int row, int column), (result, row, column))               \
    F(PQcmdTuples, pq_rows_affected, const char *, (PGresult * result), (result))                                      \
    F(PQconninfoParse, pq_conninfo_parse, PQConninfoOption *, (const char *conninfo, char **error), (conninfo, error))

#define PROCEDURES(F)                                                                                                  \
    F(PQfinish, pq_finish, (PGconn * connection), (connection))                                                        \
    F(PQclear, pq_clear, (PGresult * result), (result))                                                                \
    F(PQconninfoFree, pq_conninfo_free, (PQConninfoOption * options), (options))                                       \
    F(PQfreemem, pq_free, (void *pointer), (pointer))

#define DEFINE(symbol, name, type, parameters, arguments)                                                              \
    static type(*loaded_##name) parameters;                                                                            \
    type name parameters { return loaded_##name arguments; }
#define DEFINE_PROCEDURE(symbol, name, parameters, arguments)                                                          \
    static void(*loaded_##name) parameters;                                                                            \
    void name parameters { loaded_##name arguments; }
FUNCTIONS(DEFINE)
PROCEDURES(DEFINE_PROCEDURE)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char failure[512];

static void load(void) {
    void *library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        const char *why = dlerror();
        snprintf(failure, sizeof failure, "%s", why != NULL ? why : "libpq.so.5 can't be loaded");
        return;
    }
#define FIND(symbol, name, type, parameters, arguments)                                                                \
    loaded_##name = (type(*) parameters)dlsym(library, #symbol);                                                       \
    if (loaded_##name == NULL) snprintf(failure, sizeof failure, "libpq.so.5 lacks %s: it is older than PostgreSQL 14", #symbol);
#define FIND_PROCEDURE(symbol, name, parameters, arguments) FIND(symbol, name, void, parameters, arguments)
    FUNCTIONS(FIND)
    PROCEDURES(FIND_PROCEDURE)
}

const char *pq_load(void) {
    pthread_once(&once, load);
    return failure[0] != '\0' ? failure : NULL;
}
