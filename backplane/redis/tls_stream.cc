#include "backplane/redis/tls_stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <array>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "glog/logging.h"

namespace actioncluster::redis {
namespace {

constexpr size_t kMaxRecord = size_t{16} * 1024;
constexpr size_t kMaxKeptBuffer = size_t{1} << 20;

// Whose certificate it must be. A name is also told to the peer, which may have several.
void Expect(const std::string& host, SSL* session) {
  X509_VERIFY_PARAM* const check = SSL_get0_param(session);
  X509_VERIFY_PARAM_set_hostflags(check, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  // Certificates know nothing of the interface behind an IPv6 address.
  const std::string address = host.substr(0, host.find('%'));
  if (X509_VERIFY_PARAM_set1_ip_asc(check, address.c_str()) == 1) return;
  CHECK_EQ(X509_VERIFY_PARAM_set1_host(check, host.data(), host.size()), 1);
  CHECK_EQ(SSL_set_tlsext_host_name(session, host.c_str()), 1);
}

}  // namespace

void TlsStream::Free::operator()(ssl_st* session) const { SSL_free(session); }

TlsStream::TlsStream(const TlsContext& context, const std::string& host, LinkCore& core)
    : session_(SSL_new(context.get())), received_(BIO_new(BIO_s_mem())), to_send_(BIO_new(BIO_s_mem())), core_(core) {
  CHECK(session_ != nullptr && received_ != nullptr && to_send_ != nullptr);
  SSL_set_bio(session_.get(), received_, to_send_);
  SSL_set_connect_state(session_.get());
  SSL_set_verify(session_.get(), SSL_VERIFY_PEER, nullptr);
  Expect(host, session_.get());
  ERR_clear_error();
}

void TlsStream::Opened(absl::Time now) { broken_ = ShakeHands(now); }

absl::Status TlsStream::ShakeHands(absl::Time now) {
  ERR_clear_error();
  const int result = SSL_do_handshake(session_.get());
  if (result != 1) return Failure(result);
  established_ = true;
  core_.Opened(now);
  return absl::OkStatus();
}

absl::Status TlsStream::Feed(absl::string_view bytes, absl::Time now) {
  size_t taken = 0;
  CHECK(BIO_write_ex(received_, bytes.data(), bytes.size(), &taken) == 1 && taken == bytes.size());
  if (!established_) {
    if (absl::Status status = ShakeHands(now); !status.ok() || !established_) return status;
  }
  return Decrypt(now);
}

absl::Status TlsStream::Decrypt(absl::Time now) {
  std::array<char, kMaxRecord> buffer;
  while (true) {
    size_t size = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(session_.get(), buffer.data(), buffer.size(), &size);
    if (result != 1) return Failure(result);
    if (absl::Status status = core_.Feed(absl::string_view(buffer.data(), size), now); !status.ok()) return status;
  }
}

absl::Status TlsStream::Failure(int result) {
  switch (SSL_get_error(session_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return absl::OkStatus();
    case SSL_ERROR_ZERO_RETURN:
      return BackplaneUnavailable("the connection was closed by Redis");
    default:
      break;
  }
  const long verified = SSL_get_verify_result(session_.get());
  if (verified != X509_V_OK) {
    ERR_clear_error();
    return BackplaneUnavailable(absl::StrCat("its certificate is refused: ", X509_verify_cert_error_string(verified)));
  }
  const bool foreign = ERR_GET_REASON(ERR_peek_error()) == SSL_R_WRONG_VERSION_NUMBER;
  return BackplaneUnavailable(
      absl::StrCat("TLS failed: ", TakeTlsComplaint(), foreign ? " (this port does not speak TLS)" : ""));
}

void TlsStream::TakeOutput(std::string* out) {
  if (established_ && broken_.ok()) {
    core_.TakeOutput(&plain_);
    size_t taken = 0;
    ERR_clear_error();
    if (!plain_.empty() && SSL_write_ex(session_.get(), plain_.data(), plain_.size(), &taken) != 1) {
      broken_ = BackplaneUnavailable(absl::StrCat("TLS failed: ", TakeTlsComplaint()));
    }
    plain_.clear();
    if (plain_.capacity() > kMaxKeptBuffer) plain_.shrink_to_fit();
  }
  const size_t before = out->size();
  const size_t pending = BIO_ctrl_pending(to_send_);
  if (pending == 0) return;
  out->resize(before + pending);
  size_t given = 0;
  CHECK(BIO_read_ex(to_send_, out->data() + before, pending, &given) == 1 && given == pending);
}

absl::Status TlsStream::Tick(absl::Time now, absl::Time* next) {
  if (broken_.ok()) return core_.Tick(now, next);
  *next = absl::InfinitePast();
  return broken_;
}

void TlsStream::Closed(const absl::Status& why) {
  established_ = false;
  broken_ = absl::OkStatus();
  core_.Closed(why);
}

}  // namespace actioncluster::redis
