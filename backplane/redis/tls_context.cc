#include "backplane/redis/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace actioncluster::redis {
namespace {

absl::Status Wrong(const std::string& file, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(file, ": ", what));
}

// OpenSSL's own complaints about files say less.
absl::Status CheckFile(const std::string& file, bool is_secret) {
  struct stat info;
  if (stat(file.c_str(), &info) != 0) return Wrong(file, std::strerror(errno));
  if (!S_ISREG(info.st_mode)) return Wrong(file, "is not a file");
  if (is_secret && (info.st_mode & S_IRWXO) != 0) return Wrong(file, "is open to others; chmod 600 it");
  return absl::OkStatus();
}

absl::Status LoadAuthorities(const std::string& file, SSL_CTX* context) {
  if (file.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) == 1) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("the system's certificates: ", TakeTlsComplaint()));
  }
  if (absl::Status status = CheckFile(file, false); !status.ok()) return status;
  if (SSL_CTX_load_verify_file(context, file.c_str()) == 1) return absl::OkStatus();
  return Wrong(file, absl::StrCat("holds no certificates of authorities: ", TakeTlsComplaint()));
}

absl::Status LoadIdentity(const TlsFiles& files, SSL_CTX* context) {
  if (absl::Status status = CheckFile(files.cert_file, false); !status.ok()) return status;
  if (absl::Status status = CheckFile(files.key_file, true); !status.ok()) return status;
  if (SSL_CTX_use_certificate_chain_file(context, files.cert_file.c_str()) != 1) {
    return Wrong(files.cert_file, absl::StrCat("holds no certificate: ", TakeTlsComplaint()));
  }
  // It is compared with the certificate, too.
  if (SSL_CTX_use_PrivateKey_file(context, files.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return Wrong(files.key_file, absl::StrCat("holds no private key of ", files.cert_file,
                                              " that has no passphrase: ", TakeTlsComplaint()));
  }
  return absl::OkStatus();
}

}  // namespace

void TlsContext::Free::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

absl::StatusOr<TlsContext> TlsContext::Load(const TlsFiles& files) {
  if (files.cert_file.empty() != files.key_file.empty()) {
    return absl::InvalidArgumentError("a certificate takes its key, and a key its certificate");
  }
  ERR_clear_error();
  TlsContext context(SSL_CTX_new(TLS_client_method()));
  CHECK(context.get() != nullptr) << TakeTlsComplaint();
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // By default it is asked for at the terminal.
  SSL_CTX_set_default_passwd_cb(context.get(), [](char*, int, int, void*) { return 0; });
  if (absl::Status status = LoadAuthorities(files.ca_file, context.get()); !status.ok()) return status;
  if (files.cert_file.empty()) return context;
  if (absl::Status status = LoadIdentity(files, context.get()); !status.ok()) return status;
  return context;
}

std::string TakeTlsComplaint() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "unknown" : reason;
}

}  // namespace actioncluster::redis
