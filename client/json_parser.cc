#include "client/json_parser.h"

#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/utf8.h"

namespace actioncluster::client {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;
using google::protobuf::Value;

// What nodes take, and the array that holds a call's arguments.
constexpr int kMaxNesting = 33;

bool IsHighSurrogate(unsigned unit) { return unit >= 0xD800 && unit < 0xDC00; }
bool IsLowSurrogate(unsigned unit) { return unit >= 0xDC00 && unit < 0xE000; }

void AppendUtf8(unsigned code, std::string* text) {
  const auto append = [text](unsigned byte) { text->push_back(static_cast<char>(byte)); };
  const auto append_tail = [&](int shift) { append(0x80 | ((code >> shift) & 0x3F)); };
  if (code < 0x80) {
    append(code);
  } else if (code < 0x800) {
    append(0xC0 | (code >> 6));
    append_tail(0);
  } else if (code < 0x10000) {
    append(0xE0 | (code >> 12));
    append_tail(6);
    append_tail(0);
  } else {
    append(0xF0 | (code >> 18));
    append_tail(12);
    append_tail(6);
    append_tail(0);
  }
}

}  // namespace

absl::Status JsonParser::Parse(Value* value) {
  if (!IsUtf8(text_)) return absl::InvalidArgumentError("no JSON: it is not UTF-8");
  bool parsed = ParseValue(value, 0);
  SkipSpace();
  if (parsed && position_ < text_.size()) parsed = Fail("something follows the value");
  if (parsed) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("no JSON: ", fault_, ", at byte ", position_ + 1));
}

bool JsonParser::ParseValue(Value* value, int nesting) {
  SkipSpace();
  switch (Peek()) {
    case '{':
      return ParseObject(value->mutable_struct_value(), nesting);
    case '[':
      return ParseArray(value->mutable_list_value(), nesting);
    case '"':
      return ParseString(value->mutable_string_value());
    case 't':
      value->set_bool_value(true);
      return ParseWord("true");
    case 'f':
      value->set_bool_value(false);
      return ParseWord("false");
    case 'n':
      value->set_null_value(google::protobuf::NULL_VALUE);
      return ParseWord("null");
    default:
      return ParseNumber(value);
  }
}

bool JsonParser::ParseObject(Struct* object, int nesting) {
  if (nesting == kMaxNesting) return Fail("it is nested too deep");
  Take('{');
  SkipSpace();
  if (Take('}')) return true;
  do {
    SkipSpace();
    std::string name;
    if (Peek() != '"') return Fail("a name in quotes is missing");
    if (!ParseString(&name)) return false;
    SkipSpace();
    if (!Take(':')) return Fail("a colon is missing");
    Value value;
    if (!ParseValue(&value, nesting + 1)) return false;
    (*object->mutable_fields())[name] = std::move(value);
    SkipSpace();
  } while (Take(','));
  return Take('}') || Fail("a comma or a closing brace is missing");
}

bool JsonParser::ParseArray(ListValue* array, int nesting) {
  if (nesting == kMaxNesting) return Fail("it is nested too deep");
  Take('[');
  SkipSpace();
  if (Take(']')) return true;
  do {
    if (!ParseValue(array->add_values(), nesting + 1)) return false;
    SkipSpace();
  } while (Take(','));
  return Take(']') || Fail("a comma or a closing bracket is missing");
}

bool JsonParser::ParseString(std::string* text) {
  Take('"');
  while (position_ < text_.size()) {
    const char character = text_[position_];
    if (Take('"')) return true;
    if (static_cast<unsigned char>(character) < ' ') return Fail("a control character in a string");
    if (Take('\\')) {
      if (!ParseEscape(text)) return false;
      continue;
    }
    text->push_back(character);
    ++position_;
  }
  return Fail("a string does not end");
}

bool JsonParser::ParseEscape(std::string* text) {
  constexpr std::pair<char, char> kEscapes[] = {{'"', '"'},  {'\\', '\\'}, {'/', '/'},  {'b', '\b'},
                                                {'f', '\f'}, {'n', '\n'},  {'r', '\r'}, {'t', '\t'}};
  for (const auto& [name, meaning] : kEscapes) {
    if (!Take(name)) continue;
    text->push_back(meaning);
    return true;
  }
  unsigned unit = 0;
  if (!Take('u')) return Fail("an escape that is none");
  if (!ParseCodeUnit(&unit)) return false;
  if (IsLowSurrogate(unit)) return Fail("half a character");
  if (IsHighSurrogate(unit)) {
    unsigned low = 0;
    if (!Take('\\') || !Take('u')) return Fail("half a character");
    if (!ParseCodeUnit(&low)) return false;
    if (!IsLowSurrogate(low)) return Fail("half a character");
    unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
  }
  AppendUtf8(unit, text);
  return true;
}

bool JsonParser::ParseCodeUnit(unsigned* unit) {
  const absl::string_view digits = text_.substr(position_, 4);
  for (const char digit : digits) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(digit))) return Fail("four hexadecimal digits are missing");
  }
  if (digits.size() < 4 || !absl::SimpleHexAtoi(digits, unit)) return Fail("four hexadecimal digits are missing");
  position_ += 4;
  return true;
}

bool JsonParser::ParseNumber(Value* value) {
  const size_t begin = position_;
  Take('-');
  const bool leading_zero = Peek() == '0';
  const size_t digits = SkipDigits();
  if (digits == 0) return Fail("a value is missing");
  if (leading_zero && digits > 1) return Fail("a number begins with 0");
  if (Take('.') && SkipDigits() == 0) return Fail("a digit is missing");
  if (Take('e') || Take('E')) {
    if (!Take('+')) Take('-');
    if (SkipDigits() == 0) return Fail("a digit is missing");
  }
  double number = 0;
  if (!absl::SimpleAtod(text_.substr(begin, position_ - begin), &number) || !std::isfinite(number)) {
    return Fail("a number is too large");
  }
  value->set_number_value(number);
  return true;
}

bool JsonParser::ParseWord(absl::string_view word) {
  if (text_.substr(position_, word.size()) != word) return Fail("a word that is none of true, false, null");
  position_ += word.size();
  return true;
}

void JsonParser::SkipSpace() {
  while (Peek() == ' ' || Peek() == '\t' || Peek() == '\n' || Peek() == '\r') ++position_;
}

size_t JsonParser::SkipDigits() {
  const size_t begin = position_;
  while (absl::ascii_isdigit(static_cast<unsigned char>(Peek()))) ++position_;
  return position_ - begin;
}

bool JsonParser::Take(char character) {
  if (position_ >= text_.size() || text_[position_] != character) return false;
  ++position_;
  return true;
}

bool JsonParser::Fail(absl::string_view what) {
  fault_ = std::string(what);
  return false;
}

}  // namespace actioncluster::client
