// The system's OpenSSL 3.0 for Swift: its headers, and a C function for each macro that Swift cannot import.
#ifndef COPENSSL_H
#define COPENSSL_H

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#if OPENSSL_VERSION_NUMBER < 0x30000000L
#error "OpenSSL 3.0 or newer is needed (Debian 12 and Ubuntu 22.04 have it): install libssl-dev"
#endif

// BIO
void COpenSSL_BIO_set_retry_read(BIO *bio);
void COpenSSL_BIO_clear_retry_flags(BIO *bio);
long COpenSSL_BIO_get_mem_data(BIO *bio, const unsigned char **data);

// Errors
int COpenSSL_ERR_GET_LIB(unsigned long code);
int COpenSSL_ERR_GET_REASON(unsigned long code);

// SSL_CTX
int COpenSSL_SSL_CTX_set_min_proto_version(SSL_CTX *ctx, int version);
int COpenSSL_SSL_CTX_set_max_proto_version(SSL_CTX *ctx, int version);
void COpenSSL_SSL_CTX_set_mode(SSL_CTX *ctx, long mode);
void COpenSSL_SSL_CTX_set_session_cache_mode(SSL_CTX *ctx, long mode);
int COpenSSL_SSL_CTX_set1_groups_list(SSL_CTX *ctx, const char *list);
int COpenSSL_SSL_CTX_set1_sigalgs_list(SSL_CTX *ctx, const char *list);
int COpenSSL_SSL_CTX_add1_chain_cert(SSL_CTX *ctx, X509 *certificate);

uint64_t COpenSSL_SSL_OP_CIPHER_SERVER_PREFERENCE(void);
uint64_t COpenSSL_SSL_OP_IGNORE_UNEXPECTED_EOF(void);
uint64_t COpenSSL_SSL_OP_NO_COMPRESSION(void);
uint64_t COpenSSL_SSL_OP_NO_RENEGOTIATION(void);
uint64_t COpenSSL_SSL_OP_NO_TICKET(void);
uint64_t COpenSSL_SSL_OP_PRIORITIZE_CHACHA(void);

// SSL
long COpenSSL_SSL_get_negotiated_group(SSL *ssl);
long COpenSSL_SSL_set_tlsext_host_name(SSL *ssl, const char *name);

// Keys and certificates
EVP_PKEY *COpenSSL_EVP_EC_gen(const char *curve);

/// Gives the MAC of a session ticket its key: HMAC with SHA-256. Returns 1, or 0 with the error queue filled.
int COpenSSL_ticket_mac_init(EVP_MAC_CTX *mac, const unsigned char *key, size_t length);

/// Calls `visit` with each subject alternative name of the kinds DNS (GEN_DNS) and IP address (GEN_IPADD), in order.
void COpenSSL_X509_visit_alternative_names(
    X509 *certificate, void *argument,
    void (*visit)(void *argument, int kind, const unsigned char *bytes, int length));

/// Adds the extension `nid` to a self-signed certificate. `value` is in the notation of OpenSSL's configuration files.
/// Returns 1, or 0 with the error queue filled.
int COpenSSL_X509_add_extension(X509 *certificate, int nid, const char *value);

#endif
