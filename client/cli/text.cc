#include "client/cli/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace actioncluster::cli {
namespace {

struct Range {
  uint32_t first;
  uint32_t last;
};

// Not to be shown as they are, besides ASCII's.
constexpr std::array kUnprintable = {
    Range{0x80, 0x9f},     Range{0xad, 0xad},     Range{0x61c, 0x61c},   Range{0x200b, 0x200f},   Range{0x2028, 0x202e},
    Range{0x2060, 0x206f}, Range{0xfeff, 0xfeff}, Range{0xfff9, 0xfffb}, Range{0xe0000, 0xe0fff},
};
constexpr std::array kCombining = {
    Range{0x300, 0x36f},   Range{0x483, 0x489},   Range{0x591, 0x5bd},     Range{0x610, 0x61a},   Range{0x64b, 0x65f},
    Range{0x93a, 0x93a},   Range{0x93c, 0x93c},   Range{0x941, 0x948},     Range{0x94d, 0x94d},   Range{0xe31, 0xe31},
    Range{0xe34, 0xe3a},   Range{0xe47, 0xe4e},   Range{0x1ab0, 0x1aff},   Range{0x1dc0, 0x1dff}, Range{0x20d0, 0x20ff},
    Range{0xfe00, 0xfe0f}, Range{0xfe20, 0xfe2f}, Range{0x1f3fb, 0x1f3ff},
};
constexpr std::array kWide = {
    Range{0x1100, 0x115f},   Range{0x231a, 0x231b},   Range{0x23e9, 0x23ec},   Range{0x2705, 0x2705},
    Range{0x2728, 0x2728},   Range{0x274c, 0x274c},   Range{0x2753, 0x2755},   Range{0x2e80, 0x303e},
    Range{0x3041, 0x33ff},   Range{0x3400, 0x4dbf},   Range{0x4e00, 0x9fff},   Range{0xa000, 0xa4cf},
    Range{0xac00, 0xd7a3},   Range{0xf900, 0xfaff},   Range{0xfe30, 0xfe6f},   Range{0xff00, 0xff60},
    Range{0xffe0, 0xffe6},   Range{0x1f300, 0x1f64f}, Range{0x1f680, 0x1f6ff}, Range{0x1f900, 0x1f9ff},
    Range{0x20000, 0x3fffd},
};

template <size_t kSize>
bool Within(const std::array<Range, kSize>& ranges, uint32_t point) {
  return std::ranges::any_of(ranges, [point](Range range) { return point >= range.first && point <= range.last; });
}

// Takes one character off the front of `text`, which is not empty. Without a value: a byte that is no part of valid UTF-8.
std::optional<uint32_t> TakePoint(absl::string_view* text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>((*text)[i]); };
  const unsigned char lead = byte(0);
  const size_t length = lead < 0x80 ? 1 : lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : 4;
  if ((length == 4 && (lead < 0xf0 || lead > 0xf4)) || text->size() < length) {
    text->remove_prefix(1);
    return std::nullopt;
  }
  constexpr std::array<uint32_t, 5> kLeadMask = {0, 0x7f, 0x1f, 0x0f, 0x07};
  constexpr std::array<uint32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  uint32_t point = lead & kLeadMask[length];
  bool valid = true;
  for (size_t i = 1; i < length; ++i) {
    valid = valid && (byte(i) & 0xc0) == 0x80;
    point = point << 6 | (byte(i) & 0x3f);
  }
  valid = valid && point >= kSmallest[length] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
  text->remove_prefix(valid ? length : 1);
  return valid ? std::optional(point) : std::nullopt;
}

std::string EscapePoint(uint32_t point) {
  switch (point) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      break;
  }
  if (point < 0x10000) return absl::StrFormat("\\u%04x", point);
  return absl::StrFormat("\\u%04x\\u%04x", 0xd800 + ((point - 0x10000) >> 10), 0xdc00 + ((point - 0x10000) & 0x3ff));
}

}  // namespace

std::string Escape(absl::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  while (!text.empty()) {
    const absl::string_view before = text;
    const std::optional<uint32_t> point = TakePoint(&text);
    if (!point.has_value()) {
      absl::StrAppendFormat(&escaped, "\\x%02x", static_cast<unsigned char>(before[0]));
    } else if (*point < 0x20 || *point == 0x7f || Within(kUnprintable, *point)) {
      absl::StrAppend(&escaped, EscapePoint(*point));
    } else {
      absl::StrAppend(&escaped, before.substr(0, before.size() - text.size()));
    }
  }
  return escaped;
}

size_t DisplayWidth(absl::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const std::optional<uint32_t> point = TakePoint(&text);
    if (point.has_value() && Within(kCombining, *point)) continue;
    width += point.has_value() && Within(kWide, *point) ? 2 : 1;
  }
  return width;
}

std::string Cell(absl::string_view text, size_t width) {
  std::string cell = Escape(text);
  const size_t taken = DisplayWidth(cell);
  if (taken < width) cell.append(width - taken, ' ');
  return cell;
}

Table::Table(std::vector<std::string> headings) { rows_.push_back(std::move(headings)); }

void Table::Add(const std::vector<std::string>& cells) {
  std::vector<std::string> row;
  row.reserve(cells.size());
  for (const std::string& cell : cells) row.push_back(Escape(cell));
  rows_.push_back(std::move(row));
}

std::string Table::Format() const {
  std::vector<size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&line, i == 0 ? "" : "  ", Cell(row[i], widths[i]));
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&text, line, "\n");
  }
  return text;
}

}  // namespace actioncluster::cli
