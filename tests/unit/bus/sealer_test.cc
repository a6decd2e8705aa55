#include "backplane/bus/sealer.h"

#include <cstdint>
#include <optional>
#include <random>
#include <string>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using internal::v1::Envelope;
using ::testing::AnyOf;
using ::testing::Optional;

constexpr absl::string_view kToken = "a token of some length";
constexpr absl::string_view kChannel = "ns:all";
constexpr size_t kHeader = 1 + 4 + 32;

Sealer MakeSealer(absl::string_view token = kToken, absl::string_view cluster_namespace = "ns") {
  absl::StatusOr<Sealer> sealer = Sealer::Create(token, cluster_namespace);
  EXPECT_TRUE(sealer.ok()) << sealer.status();
  return *std::move(sealer);
}

Envelope SomeEnvelope() {
  Envelope envelope;
  envelope.set_sender_id("actioncluster-worker-1");
  envelope.set_sender_boot("0123456789abcdef");
  envelope.set_sequence(7);
  envelope.set_sent_at_us(1'700'000'000'000'000);
  envelope.mutable_call()->set_method("mail.send");
  envelope.mutable_call()->mutable_arguments()->set_body(std::string("\0\xFFx", 3));
  return envelope;
}

class SealerTest : public ::testing::Test {
 protected:
  std::optional<Rejection> Open(absl::string_view sealed, absl::string_view channel = kChannel) const {
    Envelope opened;
    return sealer_.Open(channel, sealed, &opened);
  }

  const Sealer sealer_ = MakeSealer();
  const std::string sealed_ = sealer_.Seal(kChannel, SomeEnvelope());
};

TEST_F(SealerTest, WhatIsSealedOpensWithTheSameTokenInAnotherProcess) {
  Envelope opened;
  EXPECT_EQ(MakeSealer().Open(kChannel, sealed_, &opened), std::nullopt);
  EXPECT_EQ(opened.SerializeAsString(), SomeEnvelope().SerializeAsString());
}

TEST_F(SealerTest, ContextIsFreshForEachMessage) {
  EXPECT_EQ(sealer_.Seal(kChannel, SomeEnvelope()), sealed_);
  EXPECT_EQ(Open("garbage"), Rejection::kGarbled);
  EXPECT_EQ(Open(sealed_, "ns:other"), Rejection::kForged);
  EXPECT_EQ(sealer_.Seal(kChannel, SomeEnvelope()), sealed_);
  EXPECT_EQ(Open(sealed_), std::nullopt);
}

TEST_F(SealerTest, EveryBitOfEveryByteCounts) {
  for (size_t i = 0; i < sealed_.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = sealed_;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      EXPECT_EQ(Open(flipped), i < 5 ? Rejection::kForeign : Rejection::kForged) << "byte " << i << " bit " << bit;
    }
  }
}

TEST_F(SealerTest, EveryTruncationIsRejected) {
  for (size_t length = 0; length < sealed_.size(); ++length) {
    EXPECT_EQ(Open(sealed_.substr(0, length)), length < kHeader ? Rejection::kGarbled : Rejection::kForged) << length;
  }
}

TEST_F(SealerTest, BytesBehindTheEndAreRejected) {
  EXPECT_EQ(Open(sealed_ + '\0'), Rejection::kForged);
  EXPECT_EQ(Open(sealed_ + sealed_), Rejection::kForged);
}

TEST_F(SealerTest, AnotherChannelAnotherNamespaceAnotherTokenAnotherVersion) {
  Envelope opened;
  EXPECT_EQ(Open(sealed_, "ns:method:m"), Rejection::kForged);
  EXPECT_EQ(Open(sealed_, ""), Rejection::kForged);
  EXPECT_EQ(MakeSealer(kToken, "other").Open(kChannel, sealed_, &opened), Rejection::kForeign);
  EXPECT_EQ(MakeSealer("another token of length").Open(kChannel, sealed_, &opened), Rejection::kForeign);
  EXPECT_EQ(Open('\2' + sealed_.substr(1)), Rejection::kForeign);
}

TEST_F(SealerTest, KeyIdOfAnotherTokenDoesNotMakeItsMacFit) {
  const std::string foreign = MakeSealer("another token of length").Seal(kChannel, SomeEnvelope());
  EXPECT_EQ(Open(sealed_.substr(0, 5) + foreign.substr(5)), Rejection::kForged);
}

TEST_F(SealerTest, BytesCannotMoveBetweenChannelAndContent) {
  Envelope envelope;
  envelope.set_sender_id("s");  // Begins with 0x0A.
  const std::string sealed = sealer_.Seal(kChannel, envelope);
  const std::string longer_channel = std::string(kChannel) + sealed.substr(kHeader, 1);
  EXPECT_EQ(Open(sealed.substr(0, kHeader) + sealed.substr(kHeader + 1), longer_channel), Rejection::kForged);
}

TEST_F(SealerTest, EmptyEnvelopeIsSealedAndOpened) {
  Envelope opened;
  EXPECT_EQ(sealer_.Open(kChannel, sealer_.Seal(kChannel, Envelope()), &opened), std::nullopt);
  EXPECT_EQ(opened.body_case(), Envelope::BODY_NOT_SET);
}

TEST_F(SealerTest, LargestEnvelopeOpensAndALargerOneIsNotLookedAt) {
  Envelope envelope = SomeEnvelope();
  envelope.mutable_call()->mutable_arguments()->set_body(std::string(kMaxSealedBytes - 1000, 'x'));
  const std::string large = sealer_.Seal(kChannel, envelope);
  EXPECT_LE(large.size(), kMaxSealedBytes);
  EXPECT_EQ(Open(large), std::nullopt);
  envelope.mutable_call()->mutable_arguments()->set_body(std::string(kMaxSealedBytes, 'x'));
  EXPECT_EQ(Open(sealer_.Seal(kChannel, envelope)), Rejection::kGarbled);
}

TEST_F(SealerTest, TokenMustBeLongEnough) {
  EXPECT_EQ(Sealer::Create("fifteen bytes..", "ns").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Sealer::Create("sixteen bytes...", "ns").ok());
}

TEST_F(SealerTest, FingerprintIsOfTokenAndNamespaceAndShowsNeither) {
  EXPECT_EQ(sealer_.fingerprint(), MakeSealer().fingerprint());
  EXPECT_THAT(sealer_.fingerprint(), ::testing::MatchesRegex("[0-9a-f]{32}"));
  EXPECT_NE(sealer_.fingerprint(), MakeSealer(kToken, "other").fingerprint());
  EXPECT_NE(sealer_.fingerprint(), MakeSealer("another token of length").fingerprint());
}

// Other nodes of the cluster may run another build: what is on the wire does not change by accident.
TEST_F(SealerTest, WireFormatIsTheOneOfVersionOne) {
  Envelope envelope;
  envelope.set_sequence(1);
  const std::string sealed = sealer_.Seal(kChannel, envelope);
  // Computed by other means (Python's hmac).
  EXPECT_EQ(absl::BytesToHexString(sealed),
            "014405adb1210f1446c68dbaf12ff575e35d35d649ef103249cd3199bb6584c5be92890b6c"
            "1801");
  EXPECT_EQ(sealer_.fingerprint(), "9e08d0b37b450c2a87d9e8c56493a392");
}

TEST_F(SealerTest, RandomMutationsNeverOpen) {
  std::mt19937 random(1);
  for (int round = 0; round < 100'000; ++round) {
    std::string mutated = sealed_;
    for (uint32_t changes = 1 + random() % 4; changes > 0 && !mutated.empty(); --changes) {
      const size_t at = random() % mutated.size();
      switch (random() % 4) {
        case 0:
          mutated[at] = static_cast<char>(random());
          break;
        case 1:
          mutated.erase(at, 1 + random() % 8);
          break;
        case 2:
          mutated.insert(at, 1 + random() % 8, static_cast<char>(random()));
          break;
        default:
          mutated.resize(at);
      }
    }
    if (mutated == sealed_) continue;
    ASSERT_THAT(Open(mutated), Optional(AnyOf(Rejection::kGarbled, Rejection::kForeign, Rejection::kForged)));
  }
}

}  // namespace
}  // namespace actioncluster
