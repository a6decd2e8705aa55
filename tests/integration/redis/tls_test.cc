#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "backplane/redis/subscriber.h"
#include "backplane/redis/tls_context.h"
#include "tests/fakes/certificates.h"
#include "tests/integration/redis/redis_test_base.h"

namespace actioncluster::redis {
namespace {

using fakes::Authority;
using testing::AllOf;
using testing::HasSubstr;

class TlsTest : public testing::Test {
 protected:
  TlsTest() {
    char directory[] = "/tmp/actioncluster-tls-XXXXXX";
    CHECK(mkdtemp(directory) != nullptr);
    directory_ = directory;
    Write("ca.pem", authority_.certificate());
    WriteIdentity("redis", authority_, "DNS:localhost,IP:127.0.0.1");
    WriteIdentity("node", authority_, "DNS:node.test");
  }
  ~TlsTest() override {
    server_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  std::string Path(const std::string& name) const { return absl::StrCat(directory_, "/", name); }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name)) << text;
    chmod(Path(name).c_str(), S_IRUSR | S_IWUSR);
    return Path(name);
  }
  void WriteIdentity(const std::string& name, const Authority& authority, const std::string& names) const {
    const fakes::Identity identity = authority.Issue(names);
    Write(name + ".pem", identity.certificate);
    Write(name + ".key", identity.key);
  }

  void StartRedis(const std::string& auth_clients = "no") {
    server_.emplace(fakes::RedisServer::Options{
        .tcp = true,
        .password = "secret",
        .args = {"--tls-port", absl::StrCat(port_), "--tls-cert-file", Path("redis.pem"), "--tls-key-file",
                 Path("redis.key"), "--tls-ca-cert-file", Path("ca.pem"), "--tls-auth-clients", auth_clients}});
  }

  LinkOptions To(const std::string& host) const {
    LinkOptions options;
    options.endpoint =
        *ParseEndpoint(absl::StrCat("rediss://", fakes::kNodesUser, ":", fakes::kNodesPassword, "@", host, ":", port_));
    options.client_name = "test";
    options.tls_files.ca_file = Path("ca.pem");
    return options;
  }

  const Authority authority_;
  const int port_ = fakes::FreePort();
  std::string directory_;
  std::optional<fakes::RedisServer> server_;
};

TEST_F(TlsTest, CommandsAndMegabytesPassByNameAndByAddress) {
  StartRedis();
  const std::string value(3'000'000, 'x');
  for (const char* host : {"localhost", "127.0.0.1"}) {
    TestClient client(To(host));
    client.AwaitReady();
    EXPECT_EQ(TextOf(client.Execute(Command({"SET", KeyOf("key"), value}))), "OK");
    EXPECT_TRUE(TextOf(client.Execute(Command({"GET", KeyOf("key")}))) == value);
  }
}

TEST_F(TlsTest, ASubscriberHears) {
  StartRedis();
  fakes::LoopThread thread;
  const fakes::Waiter<std::string> confirmed;
  const fakes::Waiter<std::string> messages;
  std::unique_ptr<Subscriber> subscriber;
  thread.Run([&] {
    subscriber = std::make_unique<Subscriber>(
        thread.loop(), To("localhost"),
        [messages](absl::string_view, absl::string_view payload) { messages.Add(std::string(payload)); });
    subscriber->Subscribe(ChannelOf("one"), [confirmed] { confirmed.Add("one"); });
  });
  confirmed.Next();
  server_->Command({"PUBLISH", ChannelOf("one"), "hello"});
  EXPECT_EQ(messages.Next(), "hello");
  thread.Run([&] { subscriber.reset(); });
}

TEST_F(TlsTest, ARedisOfAnotherAuthorityIsRefusedAndHearsNoCommand) {
  StartRedis();
  LinkOptions options = To("localhost");
  options.tls_files.ca_file = Write("other.pem", Authority().certificate());
  TestClient client(options);
  EXPECT_THAT(std::string(client.AwaitLoss().message()), HasSubstr("certificate is refused"));
  const Reply stats = server_->Command({"INFO", "commandstats"});
  EXPECT_THAT(std::string(*stats.view().String()), HasSubstr("cmdstat_auth:calls=1,")) << "the test's own";
}

TEST_F(TlsTest, TheSystemsAuthoritiesDoNotKnowOurs) {
  StartRedis();
  LinkOptions options = To("localhost");
  options.tls_files.ca_file.clear();
  TestClient client(options);
  EXPECT_THAT(std::string(client.AwaitLoss().message()), HasSubstr("certificate is refused"));
}

TEST_F(TlsTest, ACertificateForAnotherHostIsRefused) {
  WriteIdentity("redis", authority_, "DNS:other.test");
  StartRedis();
  TestClient client(To("localhost"));
  EXPECT_THAT(std::string(client.AwaitLoss().message()), AllOf(HasSubstr("certificate"), HasSubstr("mismatch")));
}

TEST_F(TlsTest, OurCertificateIsShownWhereItIsAskedFor) {
  StartRedis("yes");
  LinkOptions options = To("localhost");
  {
    TestClient client(options);
    EXPECT_THAT(std::string(client.AwaitLoss().message()), HasSubstr("certificate required"));
  }
  options.tls_files.cert_file = Path("node.pem");
  options.tls_files.key_file = Path("node.key");
  TestClient client(options);
  client.AwaitReady();
}

TEST_F(TlsTest, RenewedCertificatesAreReadWithTheNextConnection) {
  StartRedis();
  TestClient client(To("localhost"));
  client.AwaitReady();
  const Authority next;
  WriteIdentity("redis", next, "DNS:localhost");
  server_->Kill();
  EXPECT_FALSE(client.AwaitLoss().ok());
  server_->Start();
  EXPECT_THAT(std::string(client.states()
                              .NextThat([](const absl::Status& s) {
                                return s.message().find("refused: ") != std::string::npos;
                              })
                              .message()),
              HasSubstr("certificate"));
  Write("ca.pem", next.certificate());
  client.AwaitReady();
}

TEST_F(TlsTest, APortWithoutTlsAndOneThatIsMuteAreTriedUntilTheDeadline) {
  StartRedis();
  LinkOptions options = To("127.0.0.1");
  options.connect_timeout = absl::Milliseconds(300);
  options.endpoint.port = server_->port();
  {
    TestClient client(options);
    EXPECT_THAT(std::string(client.AwaitLoss().message()), HasSubstr("TLS"));
  }
  server_->Pause();
  options.endpoint.port = port_;
  TestClient client(options);
  EXPECT_THAT(std::string(client.AwaitLoss().message()),
              HasSubstr("not ready within 300ms: it does not answer by TLS"));
  server_->Resume();
  client.AwaitReady();
}

TEST_F(TlsTest, FilesThatAreOfNoUseAreNamed) {
  const auto error = [](TlsFiles files) { return std::string(TlsContext::Load(files).status().message()); };
  const std::string ca = Path("ca.pem");
  const std::string cert = Path("node.pem");
  const std::string key = Path("node.key");
  EXPECT_EQ(error({.ca_file = ca, .cert_file = cert, .key_file = key}), "");
  EXPECT_THAT(error({.ca_file = Path("none"), .cert_file = {}, .key_file = {}}), HasSubstr("none: No such file"));
  EXPECT_THAT(error({.ca_file = directory_, .cert_file = {}, .key_file = {}}), HasSubstr("is not a file"));
  EXPECT_THAT(error({.ca_file = key, .cert_file = {}, .key_file = {}}), HasSubstr("node.key: holds no certificates"));
  EXPECT_THAT(error({.ca_file = ca, .cert_file = key, .key_file = key}), HasSubstr("node.key: holds no certificate:"));
  EXPECT_THAT(error({.ca_file = ca, .cert_file = cert, .key_file = cert}), HasSubstr("node.pem: holds no private key"));
  EXPECT_THAT(error({.ca_file = ca, .cert_file = cert, .key_file = Path("redis.key")}),
              HasSubstr("redis.key: holds no private key of "));
  EXPECT_THAT(error({.ca_file = ca, .cert_file = cert, .key_file = {}}), HasSubstr("a certificate takes its key"));
  chmod(key.c_str(), S_IRUSR | S_IROTH);
  EXPECT_THAT(error({.ca_file = ca, .cert_file = cert, .key_file = key}), HasSubstr("is open to others"));
}

}  // namespace
}  // namespace actioncluster::redis
