#include "backplane/redis/tls_stream.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/certificates.h"

namespace actioncluster::redis {
namespace {

using fakes::Authority;
using fakes::Identity;
using testing::HasSubstr;

const absl::Time kNow = absl::UnixEpoch() + absl::Hours(1);

template <class T, void (*kFree)(T*)>
struct Freed {
  void operator()(T* object) const { kFree(object); }
};
using Certificate = std::unique_ptr<X509, Freed<X509, X509_free>>;

Certificate CertificateOf(const std::string& pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(pem.data(), -1), &BIO_free);
  return Certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

void Trust(const Authority& authority, SSL_CTX* context) {
  X509_STORE_add_cert(SSL_CTX_get_cert_store(context), CertificateOf(authority.certificate()).get());
}

void Show(const Identity& identity, SSL_CTX* context) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(identity.key.data(), -1), &BIO_free);
  const std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, EVP_PKEY_free>> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  ASSERT_EQ(SSL_CTX_use_certificate(context, CertificateOf(identity.certificate).get()), 1);
  ASSERT_EQ(SSL_CTX_use_PrivateKey(context, key.get()), 1);
}

// What is spoken inside, as the test wants it.
struct Inside final : LinkCore {
  void Opened(absl::Time) override { ++opened; }
  absl::Status Feed(absl::string_view bytes, absl::Time) override {
    heard.append(bytes.data(), bytes.size());
    return verdict;
  }
  void TakeOutput(std::string* out) override { out->append(std::exchange(to_say, {})); }
  absl::Status Tick(absl::Time, absl::Time* next) override {
    *next = kNow;
    return absl::OkStatus();
  }
  void Closed(const absl::Status&) override { ++closed; }
  bool ready() const override { return opened > 0; }

  int opened = 0;
  int closed = 0;
  std::string heard;
  std::string to_say;
  absl::Status verdict;
};

// The other end: a Redis as far as TLS goes, without a socket.
class Peer {
 public:
  Peer(const Identity& identity, int max_version) : context_(SSL_CTX_new(TLS_server_method())) {
    Show(identity, context_.get());
    SSL_CTX_set_max_proto_version(context_.get(), max_version);
    // An old version that one end refuses shall be refused by us, not by the system's policy.
    SSL_CTX_set_security_level(context_.get(), 0);
  }

  void AskForCertificatesOf(const Authority& authority) {
    Trust(authority, context_.get());
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }

  void Accept() {
    session_.reset(SSL_new(context_.get()));
    received_ = BIO_new(BIO_s_mem());
    to_send_ = BIO_new(BIO_s_mem());
    SSL_set_bio(session_.get(), received_, to_send_);
    SSL_set_accept_state(session_.get());
  }

  // Takes bytes from the network, and returns what is decrypted.
  std::string Feed(const std::string& bytes) {
    BIO_write(received_, bytes.data(), static_cast<int>(bytes.size()));
    std::string text;
    char buffer[1024];
    for (int size; (size = SSL_read(session_.get(), buffer, sizeof(buffer))) > 0;) {
      text.append(buffer, static_cast<size_t>(size));
    }
    return text;
  }
  void Say(const std::string& text) {
    ASSERT_EQ(SSL_write(session_.get(), text.data(), static_cast<int>(text.size())), static_cast<int>(text.size()));
  }
  void Hang() { SSL_shutdown(session_.get()); }
  std::string Take() {
    std::string bytes(BIO_ctrl_pending(to_send_), '\0');
    BIO_read(to_send_, bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }
  std::string server_name() const {
    const char* name = SSL_get_servername(session_.get(), TLSEXT_NAMETYPE_host_name);
    return name == nullptr ? "" : name;
  }

 private:
  std::unique_ptr<SSL_CTX, Freed<SSL_CTX, SSL_CTX_free>> context_;
  std::unique_ptr<SSL, Freed<SSL, SSL_free>> session_;
  BIO* received_ = nullptr;
  BIO* to_send_ = nullptr;
};

class TlsStreamOfAnyVersionTest : public testing::Test {
 protected:
  // Both sides until neither has anything to say; then, or when ours has failed, what ours says of it.
  absl::Status Connect(const std::string& host, Peer& peer) {
    stream_ = std::make_unique<TlsStream>(context_, host, inside_);
    peer.Accept();
    stream_->Opened(kNow);
    return Exchange(peer);
  }
  absl::Status Exchange(Peer& peer) {
    while (true) {
      const std::string sent = Sent();
      peer_heard_ += peer.Feed(sent);
      const std::string received = peer.Take();
      if (sent.empty() && received.empty()) return absl::OkStatus();
      if (received.empty()) continue;
      if (absl::Status status = stream_->Feed(received, kNow); !status.ok()) return status;
    }
  }
  std::string Sent() {
    std::string bytes;
    stream_->TakeOutput(&bytes);
    wire_ += bytes;
    return bytes;
  }
  TlsContext Trusting(const Authority& authority) {
    TlsContext context = *TlsContext::Load({.ca_file = {}, .cert_file = {}, .key_file = {}});
    Trust(authority, context.get());
    return context;
  }

  const Authority authority_;
  TlsContext context_ = Trusting(authority_);
  Inside inside_;
  std::unique_ptr<TlsStream> stream_;
  std::string wire_;  // All that the network saw of us.
  std::string peer_heard_;
};

class TlsStreamTest : public TlsStreamOfAnyVersionTest, public testing::WithParamInterface<int> {};

INSTANTIATE_TEST_SUITE_P(Versions, TlsStreamTest, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(TlsStreamTest, WhatIsSaidAndHeardIsTheSameOutsideAndNotOnTheWire) {
  Peer peer(authority_.Issue("DNS:redis.test"), GetParam());
  ASSERT_TRUE(Connect("redis.test", peer).ok());
  EXPECT_TRUE(stream_->established());
  EXPECT_EQ(peer.server_name(), "redis.test");
  inside_.to_say = "a secret";
  peer.Say("an answer");
  ASSERT_TRUE(Exchange(peer).ok());
  EXPECT_EQ(peer_heard_, "a secret");
  EXPECT_EQ(inside_.heard, "an answer");
  EXPECT_FALSE(absl::StrContains(wire_, "secret"));
}

TEST_P(TlsStreamTest, MegabytesPassInBothDirections) {
  Peer peer(authority_.Issue("DNS:redis.test"), GetParam());
  ASSERT_TRUE(Connect("redis.test", peer).ok());
  const std::string much(3'000'001, 'x');
  inside_.to_say = much;
  peer.Say(much);
  ASSERT_TRUE(Exchange(peer).ok());
  EXPECT_TRUE(peer_heard_ == much);
  EXPECT_TRUE(inside_.heard == much);
}

TEST_P(TlsStreamTest, BytesMayComeOneByOne) {
  Peer peer(authority_.Issue("DNS:redis.test"), GetParam());
  stream_ = std::make_unique<TlsStream>(context_, "redis.test", inside_);
  peer.Accept();
  stream_->Opened(kNow);
  peer.Feed(Sent());
  for (std::string received = peer.Take(); !received.empty(); received = peer.Take()) {
    for (const char c : received) ASSERT_TRUE(stream_->Feed(std::string(1, c), kNow).ok());
    peer.Feed(Sent());
  }
  EXPECT_TRUE(stream_->established());
  EXPECT_EQ(inside_.opened, 1);
}

TEST_P(TlsStreamTest, NothingInsideIsAskedBeforeTheHandshakeIsDone) {
  Peer peer(authority_.Issue("DNS:redis.test"), GetParam());
  inside_.to_say = "too early";
  stream_ = std::make_unique<TlsStream>(context_, "redis.test", inside_);
  stream_->Opened(kNow);
  EXPECT_FALSE(Sent().empty());
  EXPECT_EQ(inside_.to_say, "too early");
  EXPECT_EQ(inside_.opened, 0);
  EXPECT_FALSE(stream_->ready());
}

TEST_P(TlsStreamTest, ACertificateMadeOutToAnotherHostIsRefused) {
  Peer peer(authority_.Issue("DNS:other.test,DNS:*.redis.test,IP:127.0.0.1"), GetParam());
  EXPECT_TRUE(Connect("a.redis.test", peer).ok());
  EXPECT_TRUE(Connect("127.0.0.1", peer).ok());
  EXPECT_EQ(peer.server_name(), "") << "addresses are not told";
  inside_.opened = 0;
  for (const char* host : {"redis.test", "127.0.0.2", "::1", "a.b.redis.test"}) {
    inside_.to_say = "a password";
    const absl::Status status = Connect(host, peer);
    EXPECT_THAT(std::string(status.message()), HasSubstr("mismatch")) << host;
    EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
    EXPECT_EQ(peer_heard_, "");
    EXPECT_EQ(inside_.opened, 0);
    Sent();
    EXPECT_EQ(inside_.to_say, "a password") << "still there";
  }
}

TEST_P(TlsStreamTest, AnIPv6AddressIsComparedWithoutItsInterface) {
  Peer peer(authority_.Issue("IP:fe80::1"), GetParam());
  EXPECT_TRUE(Connect("fe80::1%eth0", peer).ok());
}

TEST_P(TlsStreamTest, ACertificateOfAnotherAuthorityOrOfYesterdayIsRefused) {
  Peer foreign(Authority().Issue("DNS:redis.test"), GetParam());
  EXPECT_THAT(std::string(Connect("redis.test", foreign).message()), HasSubstr("certificate is refused"));
  Peer expired(authority_.Issue("DNS:redis.test", -absl::Hours(1)), GetParam());
  EXPECT_THAT(std::string(Connect("redis.test", expired).message()), HasSubstr("expired"));
  EXPECT_EQ(inside_.opened, 0);
}

TEST_P(TlsStreamTest, OurCertificateIsShownAndItsLackIsSaid) {
  Peer peer(authority_.Issue("DNS:redis.test"), GetParam());
  peer.AskForCertificatesOf(authority_);
  EXPECT_THAT(std::string(Connect("redis.test", peer).message()), HasSubstr("TLS failed: "));
  Show(authority_.Issue("DNS:node.test"), context_.get());
  inside_.to_say = "here";
  EXPECT_TRUE(Connect("redis.test", peer).ok());
  EXPECT_EQ(peer_heard_, "here");
}

TEST_P(TlsStreamTest, ThePeersGoodbyeIsTheEnd) {
  Peer peer(authority_.Issue("DNS:redis.test"), GetParam());
  ASSERT_TRUE(Connect("redis.test", peer).ok());
  peer.Hang();
  EXPECT_THAT(std::string(Exchange(peer).message()), HasSubstr("closed by Redis"));
}

TEST_P(TlsStreamTest, WhatTheInsideRefusesIsRefused) {
  Peer peer(authority_.Issue("DNS:redis.test"), GetParam());
  ASSERT_TRUE(Connect("redis.test", peer).ok());
  inside_.verdict = BackplaneUnavailable("garbled");
  peer.Say("x");
  EXPECT_THAT(std::string(Exchange(peer).message()), HasSubstr("garbled"));
}

TEST_F(TlsStreamOfAnyVersionTest, APeerWithoutTlsIsNamedAsThat) {
  stream_ = std::make_unique<TlsStream>(context_, "redis.test", inside_);
  stream_->Opened(kNow);
  EXPECT_THAT(std::string(stream_->Feed("-ERR unknown command\r\n", kNow).message()), HasSubstr("does not speak TLS"));
}

TEST_F(TlsStreamOfAnyVersionTest, AnOldVersionIsRefused) {
  Peer peer(authority_.Issue("DNS:redis.test"), TLS1_1_VERSION);
  EXPECT_FALSE(Connect("redis.test", peer).ok());
  EXPECT_EQ(inside_.opened, 0);
}

TEST_F(TlsStreamOfAnyVersionTest, TheInsidesClockAndEndPassThrough) {
  stream_ = std::make_unique<TlsStream>(context_, "redis.test", inside_);
  absl::Time next;
  EXPECT_TRUE(stream_->Tick(kNow, &next).ok());
  EXPECT_EQ(next, kNow);
  stream_->Closed(BackplaneUnavailable("gone"));
  EXPECT_EQ(inside_.closed, 1);
}

}  // namespace
}  // namespace actioncluster::redis
