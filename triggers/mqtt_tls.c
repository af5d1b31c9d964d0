/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates and keys: Paho takes their files and says little about what is wrong with them, or with the other
 * side's. So they are looked at before each connect, and after a failure the handshake is made once more by hand.
 * The files, and the password's, may be replaced at any time: a connection is renewed when what is there is whole.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/own.h"
#include "triggers/mqtt_impl.h"

enum { SLICE_MS = 50, ALERT_MS = 300, FILES = 4, NAMES_BYTES = 120 };

struct stamp {
	struct timespec changed;
	ino_t inode;
	off_t bytes;
};

struct mqtt_files {
	struct stamp used[FILES], seen[FILES];
	bool warned;
};

/* ---- files ---- */

static void stamps_of(const struct mqtt *m, struct stamp ret[FILES])
{
	const char *const path[FILES] = { m->o.ca_file, m->o.cert_file, m->o.key_file,
					  m->o.password_file };
	memset(ret, 0, FILES * sizeof(*ret));
	for (unsigned i = 0; i < FILES; i++) {
		struct stat s;
		if (*path[i] == '\0' || stat(path[i], &s) < 0)
			continue;
		ret[i].changed = s.st_mtim;
		ret[i].inode = s.st_ino;
		ret[i].bytes = s.st_size;
	}
}

static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return 0; /* nobody is there to be asked */
}

static FILE *open_file(const char *key, const char *path, struct why *why)
{
	FILE *f = fopen(path, "re");
	if (!f)
		(void)why_set(why, -errno, "%s %s: %s", key, path, strerrordesc_np(errno));
	return f;
}

/* The first certificate of a file; NULL with the reason. */
static X509 *read_certificate(const char *key, const char *path, struct why *why)
{
	FILE *f = open_file(key, path, why);
	X509 *x = f ? PEM_read_X509(f, NULL, no_passphrase, NULL) : NULL;
	if (f)
		(void)fclose(f);
	if (f && !x)
		(void)why_set(why, -E_CONFIG, "%s %s has no certificate in it (PEM)", key, path);
	return x;
}

static int check_pair(const struct mqtt *m, struct why *why)
{
	X509 *x = read_certificate("cert_file", m->o.cert_file, why);
	FILE *f = x ? open_file("key_file", m->o.key_file, why) : NULL;
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, no_passphrase, NULL) : NULL;
	int err = x && f ? 0 : -E_CONFIG;
	if (f)
		(void)fclose(f);
	if (err == 0 && !key)
		err = why_set(why, -E_CONFIG,
			      "key_file %s has no private key in it (PEM), or one with a "
			      "passphrase, which nobody could type",
			      m->o.key_file);
	if (err == 0 && X509_check_private_key(x, key) != 1)
		err = why_set(why, -E_CONFIG, "key_file %s does not belong to cert_file %s",
			      m->o.key_file, m->o.cert_file);
	EVP_PKEY_free(key);
	X509_free(x);
	ERR_clear_error();
	return err;
}

static int check(const struct mqtt *m, struct why *why)
{
	if (m->tls && *m->o.ca_file) {
		X509 *x = read_certificate("ca_file", m->o.ca_file, why);
		X509_free(x);
		ERR_clear_error();
		if (!x)
			return -E_CONFIG;
	}
	return m->tls && *m->o.cert_file ? check_pair(m, why) : 0;
}

bool mqtt_files_watched(const struct mqtt *m)
{
	return *m->o.ca_file || *m->o.cert_file || *m->o.key_file || *m->o.password_file;
}

int mqtt_files_check(struct mqtt *m, struct why *why)
{
	if (!m->files && !(m->files = calloc(1, sizeof(*m->files))))
		return -ENOMEM;
	stamps_of(m, m->files->used);
	memcpy(m->files->seen, m->files->used, sizeof(m->files->seen));
	m->files->warned = false;
	return check(m, why);
}

bool mqtt_files_changed(struct mqtt *m)
{
	struct mqtt_files *f = m->files;
	struct stamp now[FILES];
	struct why why = { 0 };
	stamps_of(m, now);
	bool quiet = memcmp(now, f->seen, sizeof(now)) == 0;
	memcpy(f->seen, now, sizeof(now));
	if (!quiet)
		f->warned = false;
	if (!quiet || memcmp(now, f->used, sizeof(now)) == 0)
		return false; /* as they were, or still being written */
	int err = check(m, &why);
	if (err < 0 && !f->warned)
		LOG(LOG_WARN,
		    "new files for the broker make no sense; the connection stays as it is",
		    F_STR("broker", m->base.name), F_STR("reason", why_text(&why, err)));
	f->warned = err < 0;
	return err == 0;
}

/* ---- the other side ---- */

static void add_name(char names[NAMES_BYTES], const char *s, int len)
{
	size_t at = strlen(names);
	(void)snprintf(names + at, NAMES_BYTES - at, "%s%.*s", at ? ", " : "", len, s);
}

/* Whom a certificate is for. */
static void names_of(X509 *x, char ret[NAMES_BYTES])
{
	GENERAL_NAMES *list = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	ret[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(list); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(list, i);
		const uint8_t *b =
			n->type == GEN_IPADD ? ASN1_STRING_get0_data(n->d.iPAddress) : NULL;
		char text[16];
		if (n->type == GEN_DNS)
			add_name(ret, (const char *)ASN1_STRING_get0_data(n->d.dNSName),
				 ASN1_STRING_length(n->d.dNSName));
		if (b && ASN1_STRING_length(n->d.iPAddress) == 4)
			add_name(ret, text,
				 snprintf(text, sizeof(text), "%u.%u.%u.%u", b[0], b[1], b[2],
					  b[3]));
	}
	GENERAL_NAMES_free(list);
	if (ret[0] == '\0')
		(void)X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, ret,
						NAMES_BYTES);
	for (char *at = ret; *at; at++)
		*at = *at < ' ' || *at > '~' ? '?' : *at;
}

static void date_of(const ASN1_TIME *t, char ret[40])
{
	struct tm tm;
	if (ASN1_TIME_to_tm(t, &tm) != 1 || strftime(ret, 40, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		(void)snprintf(ret, 40, "?");
}

static int bad_chain(const struct mqtt *m, const struct mqtt_address *a, X509 *x, long result,
		     struct why *why)
{
	char date[40];
	if (result == X509_V_ERR_CERT_HAS_EXPIRED) {
		date_of(X509_get0_notAfter(x), date);
		return why_set(why, -EACCES,
			       "the certificate of %s:%s, or of its CA, has expired (its own: %s); "
			       "renew it "
			       "there, or check this machine's clock",
			       a->host, a->port, date);
	}
	if (result == X509_V_ERR_CERT_NOT_YET_VALID) {
		date_of(X509_get0_notBefore(x), date);
		return why_set(why, -EACCES,
			       "the certificate of %s:%s is valid from %s only; check this "
			       "machine's clock",
			       a->host, a->port, date);
	}
	return why_set(
		why, -EACCES,
		"the certificate of %s:%s is signed by no CA that %s%s has (%s); set ca_file to "
		"the CA of the broker",
		a->host, a->port, *m->o.ca_file ? "ca_file " : "the system", m->o.ca_file,
		X509_verify_cert_error_string(result));
}

static int check_peer(const struct mqtt *m, const struct mqtt_address *a, SSL *ssl, struct why *why)
{
	X509 *x = SSL_get1_peer_certificate(ssl);
	long result = SSL_get_verify_result(ssl);
	char names[NAMES_BYTES];
	int err = 0;
	if (x && m->o.verify && result != X509_V_OK) {
		err = bad_chain(m, a, x, result, why);
	} else if (x && m->o.verify && X509_check_host(x, a->host, 0, 0, NULL) != 1 &&
		   X509_check_ip_asc(x, a->host, 0) != 1) {
		names_of(x, names);
		err = why_set(why, -EACCES,
			      "the certificate of %s:%s is for another name (%s); use that in url, "
			      "or give the broker one for %s",
			      a->host, a->port, names, a->host);
	}
	X509_free(x);
	return err;
}

/* What it answered to our hello, or our certificate. */
static int bad_handshake(const struct mqtt *m, const struct mqtt_address *a, struct why *why)
{
	int reason = ERR_GET_REASON(ERR_peek_last_error());
	const char *text = ERR_reason_error_string(ERR_peek_last_error());
	if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST)
		return why_set(
			why, -EPROTO,
			"%s:%s does not speak TLS; is that the plain port? then url = tcp://%s:%s",
			a->host, a->port, a->host, a->port);
	bool has_own = *m->o.cert_file != '\0';
	if (reason > SSL_AD_REASON_OFFSET && !has_own)
		return why_set(
			why, -EACCES,
			"%s:%s ended TLS (%s); if it wants a certificate of ours, set cert_file "
			"and key_file",
			a->host, a->port, text ? text : "no reason given");
	if (reason > SSL_AD_REASON_OFFSET)
		return why_set(
			why, -EACCES,
			"%s:%s does not accept our certificate, cert_file %s (%s); it has to be "
			"signed by a CA that the broker trusts, and be valid",
			a->host, a->port, m->o.cert_file, text ? text : "no reason given");
	return why_set(
		why, -EPROTO,
		"TLS with %s:%s failed: %s; if that is the plain port, url = tcp://%s:%s, else see "
		"the broker's log",
		a->host, a->port, text ? text : "it hung up", a->host, a->port);
}

/* Waits for what OpenSSL wants; false: time is up. */
static bool wait_ssl(const struct mqtt *m, SSL *ssl, int rc, int fd, int *left_ms)
{
	int want = SSL_get_error(ssl, rc);
	struct pollfd p = { .fd = fd, .events = want == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN };
	if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE)
		return false;
	while (*left_ms > 0 && !m->stop) {
		*left_ms -= SLICE_MS;
		if (poll(&p, 1, SLICE_MS) != 0)
			return true;
	}
	return false;
}

static int handshake(const struct mqtt *m, const struct mqtt_address *a, SSL *ssl, int fd,
		     struct why *why)
{
	int rc, left_ms = (int)m->o.connect_timeout_s * 1000, alert_ms = ALERT_MS;
	char byte;
	while ((rc = SSL_connect(ssl)) != 1 && wait_ssl(m, ssl, rc, fd, &left_ms))
		;
	int err = check_peer(m, a, ssl, why);
	if (err < 0 || m->stop)
		return err;
	if (rc != 1 && left_ms <= 0)
		return why_set(why, -ETIMEDOUT,
			       "%s:%s takes connections, but does not answer as TLS", a->host,
			       a->port);
	if (rc != 1)
		return bad_handshake(m, a, why);
	/* TLS 1.3: it looks at our certificate afterwards. */
	while ((rc = SSL_read(ssl, &byte, 1)) <= 0 && wait_ssl(m, ssl, rc, fd, &alert_ms))
		;
	return ERR_peek_last_error() != 0 ? bad_handshake(m, a, why) : 0;
}

int mqtt_tls_explain(struct mqtt *m, const struct mqtt_address *a, int fd, struct why *why)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = NULL;
	int err = 0;
	if (ctx) {
		SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL); /* to hear all of it */
		(void)(*m->o.ca_file ? SSL_CTX_load_verify_file(ctx, m->o.ca_file)
				     : SSL_CTX_set_default_verify_paths(ctx));
		if (*m->o.cert_file) {
			(void)SSL_CTX_use_certificate_chain_file(ctx, m->o.cert_file);
			(void)SSL_CTX_use_PrivateKey_file(ctx, m->o.key_file, SSL_FILETYPE_PEM);
		}
		ssl = SSL_new(ctx);
	}
	ERR_clear_error();
	if (ssl && SSL_set_fd(ssl, fd) == 1) {
		(void)SSL_set_tlsext_host_name(ssl, a->host);
		err = handshake(m, a, ssl, fd, why);
	}
	if (err == 0 && m->ssl_error[0] != '\0')
		err = why_set(
			why, -EPROTO,
			"TLS with %s:%s failed: %s; check ca_file, cert_file and the broker's "
			"certificate",
			a->host, a->port, m->ssl_error);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return err;
}
