#include "client/cli/progress.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace actioncluster::cli {
namespace {

constexpr absl::Duration kEvery = absl::Milliseconds(100);
constexpr uint64_t kBarWidth = 24;
// To the line's beginning, and what stands there is removed.
constexpr absl::string_view kClear = "\r\x1b[K";

// 1,234,567
std::string Grouped(uint64_t number) {
  std::string digits = absl::StrCat(number);
  for (auto at = static_cast<ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<size_t>(at), 1, ',');
  }
  return digits;
}

std::string Bytes(uint64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " bytes");
  double amount = static_cast<double>(bytes) / 1024;
  absl::string_view unit = "KiB";
  for (const absl::string_view larger : {"MiB", "GiB", "TiB"}) {
    if (amount < 1024) break;
    amount /= 1024;
    unit = larger;
  }
  return absl::StrFormat("%.1f %s", amount, unit);
}

}  // namespace

std::string FormatProgress(absl::string_view what, uint64_t done, uint64_t of, uint64_t entries, uint64_t bytes) {
  std::string bar;
  if (of > 0) {
    const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(of));
    const auto full = static_cast<size_t>(part * kBarWidth);
    bar = absl::StrCat(" [", std::string(full, '#'), std::string(kBarWidth - full, '.'), "] ",
                       absl::StrFormat("%3d %%", static_cast<int>(part * 100)));
  }
  return absl::StrCat(what, bar, "  ", Grouped(entries), entries == 1 ? " entry  " : " entries  ", Bytes(bytes));
}

Progress::Progress(const Console& console) : console_(console), fd_(isatty(console.err()) == 1 ? console.err() : -1) {}

Progress::~Progress() {
  if (shown_) Write("");
}

void Progress::Show(absl::string_view what, uint64_t done, uint64_t of, uint64_t entries, uint64_t bytes) {
  if (!is_shown() || absl::Now() < next_) return;
  next_ = absl::Now() + kEvery;
  Write(FormatProgress(what, done, of, entries, bytes));
}

void Progress::Say(absl::string_view what) {
  if (is_shown()) Write(what);
}

void Progress::Write(absl::string_view line) {
  shown_ = true;
  // A terminal that takes nothing (Ctrl-S) holds nothing up.
  if (!console_.CanSay()) return;
  const std::string text = absl::StrCat(kClear, line);
  const ssize_t written = write(fd_, text.data(), text.size());
  static_cast<void>(written);  // It is seen, or it is not.
}

}  // namespace actioncluster::cli
