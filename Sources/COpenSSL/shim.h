// OpenSSL 3. What it has as macros is here as functions, because Swift sees no macros with arguments.
#pragma once
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static inline int rhythm_tls_set_min_version_1_2(SSL_CTX *context) {
    return (int)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
}

// Small idle connections, and no surprise when the buffer of a write has moved before it is repeated.
static inline void rhythm_tls_set_modes(SSL_CTX *context) {
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

// Without tickets and a session cache every handshake checks the peer's certificate anew.
static inline void rhythm_tls_disable_resumption(SSL_CTX *context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
}

// An empty memory BIO means "not yet", not "the end".
static inline void rhythm_tls_empty_means_retry(BIO *bio) { BIO_set_mem_eof_return(bio, -1); }

static inline int rhythm_tls_set_server_name(SSL *session, const char *name) {
    return (int)SSL_set_tlsext_host_name(session, name);
}
