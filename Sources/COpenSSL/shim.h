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

static inline unsigned long rhythm_tls_name_flags(void) { return XN_FLAG_RFC2253; }

// The reason within the library, or the error of the system.
static inline int rhythm_tls_reason(unsigned long code) { return ERR_GET_REASON(code); }

// Whether the reason of an error is about certificates: ours, which the peer refused, or the peer's.
static inline int rhythm_tls_is_about_certificates(int reason) {
    switch (reason) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_SSLV3_ALERT_NO_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN: return 1;
    default: return 0;
    }
}

// Whether the reason of an error is that the peer speaks something else.
static inline int rhythm_tls_is_no_tls(int reason) {
    switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_RECORD_LENGTH_MISMATCH: return 1;
    default: return 0;
    }
}

static inline int rhythm_tls_set_server_name(SSL *session, const char *name) {
    return (int)SSL_set_tlsext_host_name(session, name);
}
