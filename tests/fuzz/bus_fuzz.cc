// What anyone may publish on a bus channel: bytes without the MAC, which must never open; and, as if a peer had gone mad, any content with a MAC
// that fits, which must be admitted once at most and whatever its numbers are.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "backplane/bus/replay_window.h"
#include "backplane/bus/sealer.h"
#include "glog/logging.h"
#include "google/protobuf/stubs/logging.h"

namespace actioncluster {
namespace {

using internal::v1::Envelope;

constexpr absl::string_view kChannel = "ns:all";

const Sealer& FuzzSealer() {
  static const Sealer sealer = [] {
    google::protobuf::SetLogHandler(nullptr);  // It tells of every string that is no UTF-8.
    return *Sealer::Create("the token of the fuzzer", "ns");
  }();
  return sealer;
}

void OpenUnsealed(absl::string_view bytes) {
  Envelope opened;
  CHECK(FuzzSealer().Open(kChannel, bytes, &opened).has_value());
  // Past the cheap checks, up to the MAC.
  const std::string prefix = FuzzSealer().Seal(kChannel, Envelope()).substr(0, 5);
  CHECK(FuzzSealer().Open(kChannel, prefix + std::string(bytes), &opened).has_value());
}

void AdmitOnce(const Envelope& envelope) {
  const absl::Time start = absl::UnixEpoch() + absl::Hours(1);
  const absl::Time now = start + absl::Seconds(30);
  ReplayWindow window(absl::Minutes(1));
  window.Subscribed(kChannel, start);
  const auto admit = [&](absl::Time at) {
    return window.Admit(kChannel, envelope.sender_boot(), envelope.sequence(),
                        absl::FromUnixMicros(envelope.sent_at_us()), absl::Microseconds(envelope.uncertainty_us()), at);
  };
  if (admit(now).has_value()) {
    CHECK_EQ(window.size(), 0u);
    return;
  }
  CHECK_EQ(window.size(), 1u);
  for (absl::Time later = now; later < now + absl::Minutes(4); later += absl::Seconds(5)) {
    window.Forget(later);
    CHECK(admit(later).has_value());
  }
  CHECK_EQ(window.size(), 0u);
}

void OpenSealed(absl::string_view content) {
  Envelope envelope;
  if (!envelope.ParseFromArray(content.data(), static_cast<int>(content.size()))) return;
  Envelope opened;
  CHECK(!FuzzSealer().Open(kChannel, FuzzSealer().Seal(kChannel, envelope), &opened).has_value());
  CHECK_EQ(opened.sequence(), envelope.sequence());
  CHECK_EQ(opened.body_case(), envelope.body_case());
  AdmitOnce(opened);
  // The same, but of a time at which it may be admitted.
  opened.set_sent_at_us(absl::ToUnixMicros(absl::UnixEpoch() + absl::Hours(1) + absl::Seconds(29)));
  AdmitOnce(opened);
}

}  // namespace
}  // namespace actioncluster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  actioncluster::OpenUnsealed(bytes);
  actioncluster::OpenSealed(bytes);
  return 0;
}
