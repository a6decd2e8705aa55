#include "backplane/bus/sealer.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <array>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace actioncluster {
namespace {

constexpr size_t kMinTokenBytes = 16;
constexpr char kVersion = 1;
constexpr size_t kKeyIdBytes = 4;
constexpr size_t kMacBytes = 32;
constexpr size_t kFingerprintBytes = 16;
constexpr size_t kPrefixBytes = 1 + kKeyIdBytes;  // Version and key id: covered by the MAC together.
constexpr size_t kHeaderBytes = kPrefixBytes + kMacBytes;

// Changing it, or the labels below, makes all nodes strangers to those that run the former version.
constexpr absl::string_view kSalt = "actioncluster bus 1";

struct FreeKdf {
  void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};
struct FreeMac {
  void operator()(EVP_MAC* mac) const { EVP_MAC_free(mac); }
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};

void* Octets(absl::string_view bytes) { return const_cast<char*>(bytes.data()); }
const unsigned char* Bytes(absl::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

// HKDF-SHA256 of the token: independent bytes for each label and namespace, from which the token cannot be found.
bool Derive(absl::string_view token, absl::string_view label, absl::string_view cluster_namespace, unsigned char* out,
            size_t size) {
  const std::unique_ptr<EVP_KDF, FreeKdf> kdf(EVP_KDF_fetch(nullptr, OSSL_KDF_NAME_HKDF, nullptr));
  const std::unique_ptr<EVP_KDF_CTX, FreeKdf> context(EVP_KDF_CTX_new(kdf.get()));
  const std::string info = absl::StrCat(label, ":", cluster_namespace);
  const std::array<OSSL_PARAM, 5> params = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, const_cast<char*>("SHA256"), 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, Octets(token), token.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, Octets(kSalt), kSalt.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, Octets(info), info.size()), OSSL_PARAM_construct_end()};
  return context != nullptr && EVP_KDF_derive(context.get(), out, size, params.data()) == 1;
}

// A keyed HMAC-SHA256; nothing if OpenSSL has none for us.
std::unique_ptr<EVP_MAC_CTX, FreeMac> KeyedMac(absl::string_view token, absl::string_view cluster_namespace) {
  const std::unique_ptr<EVP_MAC, FreeMac> hmac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  std::unique_ptr<EVP_MAC_CTX, FreeMac> context(EVP_MAC_CTX_new(hmac.get()));
  std::array<unsigned char, kMacBytes> key;
  const std::array<OSSL_PARAM, 2> params = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>("SHA256"), 0),
      OSSL_PARAM_construct_end()};
  const bool keyed = context != nullptr && Derive(token, "mac", cluster_namespace, key.data(), key.size()) &&
                     EVP_MAC_init(context.get(), key.data(), key.size(), params.data()) == 1;
  OPENSSL_cleanse(key.data(), key.size());
  return keyed ? std::move(context) : nullptr;
}

}  // namespace

struct Sealer::Impl {
  std::unique_ptr<EVP_MAC_CTX, FreeMac>
      mac;  // Keyed once: setting the key anew for each message costs three times as much.
  std::string cluster_namespace;
  std::string prefix;  // What every envelope of ours begins with: version and key id.
  std::string fingerprint;

  std::array<unsigned char, kMacBytes> Sign(absl::string_view channel, absl::string_view content) const {
    CHECK_EQ(EVP_MAC_init(mac.get(), nullptr, 0, nullptr), 1);
    Update(prefix);
    Update(cluster_namespace);
    Update(channel);
    Update(content);
    std::array<unsigned char, kMacBytes> result;
    size_t size = 0;
    CHECK_EQ(EVP_MAC_final(mac.get(), result.data(), &size, result.size()), 1);
    return result;
  }

  // With its length in front, so that no two lists of parts are the same bytes.
  void Update(absl::string_view part) const {
    std::array<unsigned char, 8> length;
    for (size_t i = 0; i < length.size(); ++i) length[i] = static_cast<uint64_t>(part.size()) >> (8 * i) & 0xFF;
    CHECK_EQ(EVP_MAC_update(mac.get(), length.data(), length.size()), 1);
    CHECK_EQ(EVP_MAC_update(mac.get(), Bytes(part), part.size()), 1);
  }
};

absl::string_view RejectionName(Rejection rejection) {
  switch (rejection) {
    case Rejection::kGarbled:
      return "garbled";
    case Rejection::kForeign:
      return "foreign";
    case Rejection::kForged:
      return "forged";
    case Rejection::kReplayed:
      return "replayed";
    case Rejection::kStale:
      return "stale";
    case Rejection::kAhead:
      return "ahead";
  }
  return "unknown";
}

absl::StatusOr<Sealer> Sealer::Create(absl::string_view server_token, absl::string_view cluster_namespace) {
  if (server_token.size() < kMinTokenBytes) {
    return absl::InvalidArgumentError(absl::StrCat("the server token must have at least ", kMinTokenBytes, " bytes"));
  }
  auto impl = std::make_unique<Impl>();
  std::array<unsigned char, kKeyIdBytes> key_id;
  std::array<unsigned char, kFingerprintBytes> fingerprint;
  impl->mac = KeyedMac(server_token, cluster_namespace);
  if (impl->mac == nullptr || !Derive(server_token, "key id", cluster_namespace, key_id.data(), key_id.size()) ||
      !Derive(server_token, "fingerprint", cluster_namespace, fingerprint.data(), fingerprint.size())) {
    return absl::InternalError("this OpenSSL has no HKDF or HMAC with SHA-256");
  }
  impl->cluster_namespace = std::string(cluster_namespace);
  impl->prefix = std::string(1, kVersion);
  impl->prefix.append(key_id.begin(), key_id.end());
  impl->fingerprint =
      absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(fingerprint.data()), fingerprint.size()));
  return Sealer(std::move(impl));
}

Sealer::Sealer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Sealer::Sealer(Sealer&&) noexcept = default;
Sealer& Sealer::operator=(Sealer&&) noexcept = default;
Sealer::~Sealer() = default;

std::string Sealer::Seal(absl::string_view channel, const internal::v1::Envelope& envelope) const {
  std::string sealed = impl_->prefix;
  sealed.resize(kHeaderBytes);
  CHECK(envelope.AppendToString(&sealed));
  const auto mac = impl_->Sign(channel, absl::string_view(sealed).substr(kHeaderBytes));
  sealed.replace(kPrefixBytes, kMacBytes, reinterpret_cast<const char*>(mac.data()), mac.size());
  return sealed;
}

std::optional<Rejection> Sealer::Open(absl::string_view channel, absl::string_view sealed,
                                      internal::v1::Envelope* envelope) const {
  if (sealed.size() < kHeaderBytes || sealed.size() > kMaxSealedBytes) return Rejection::kGarbled;
  if (sealed.substr(0, kPrefixBytes) != impl_->prefix) return Rejection::kForeign;
  const absl::string_view content = sealed.substr(kHeaderBytes);
  const auto mac = impl_->Sign(channel, content);
  if (CRYPTO_memcmp(mac.data(), sealed.data() + kPrefixBytes, kMacBytes) != 0) return Rejection::kForged;
  // Its size fits an int: it is bounded above.
  if (!envelope->ParseFromArray(content.data(), static_cast<int>(content.size()))) return Rejection::kGarbled;
  return std::nullopt;
}

const std::string& Sealer::fingerprint() const { return impl_->fingerprint; }

}  // namespace actioncluster
