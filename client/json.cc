#include "actioncluster/json.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/json_parser.h"

namespace actioncluster::client {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;
using google::protobuf::Value;

// Up to here every integer is a double.
constexpr double kExact = 9007199254740992;

void AppendString(absl::string_view text, std::string* json) {
  json->push_back('"');
  for (const char character : text) {
    switch (character) {
      case '"':
      case '\\':
        json->push_back('\\');
        json->push_back(character);
        break;
      case '\n':
        json->append("\\n");
        break;
      case '\r':
        json->append("\\r");
        break;
      case '\t':
        json->append("\\t");
        break;
      default:
        if (static_cast<unsigned char>(character) < ' ') {
          char escape[8];
          std::snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned>(character));
          json->append(escape);
        } else {
          json->push_back(character);
        }
    }
  }
  json->push_back('"');
}

void AppendNumber(double number, std::string* json) {
  if (!std::isfinite(number)) {
    json->append("null");  // JSON has no other word for it.
  } else if (std::fabs(number) <= kExact && number == std::floor(number)) {
    absl::StrAppend(json, static_cast<int64_t>(number));
  } else {
    // The shortest text that reads back as this very number.
    char digits[32];
    json->append(digits, std::to_chars(digits, digits + sizeof(digits), number).ptr);
  }
}

void Append(const Value& value, std::string* json);

void Append(const ListValue& values, std::string* json) {
  json->push_back('[');
  bool is_first = true;
  for (const Value& value : values.values()) {
    if (!std::exchange(is_first, false)) json->push_back(',');
    Append(value, json);
  }
  json->push_back(']');
}

void Append(const Struct& object, std::string* json) {
  // By name, so that one value always has one text.
  std::map<absl::string_view, const Value*> fields;
  for (const auto& [name, value] : object.fields()) fields.emplace(name, &value);
  json->push_back('{');
  bool is_first = true;
  for (const auto& [name, value] : fields) {
    if (!std::exchange(is_first, false)) json->push_back(',');
    AppendString(name, json);
    json->push_back(':');
    Append(*value, json);
  }
  json->push_back('}');
}

void Append(const Value& value, std::string* json) {
  switch (value.kind_case()) {
    case Value::kStructValue:
      return Append(value.struct_value(), json);
    case Value::kListValue:
      return Append(value.list_value(), json);
    case Value::kStringValue:
      return AppendString(value.string_value(), json);
    case Value::kNumberValue:
      return AppendNumber(value.number_value(), json);
    case Value::kBoolValue:
      json->append(value.bool_value() ? "true" : "false");
      return;
    case Value::kNullValue:
    case Value::KIND_NOT_SET:
      json->append("null");
      return;
  }
}

}  // namespace

absl::StatusOr<Value> ParseJson(absl::string_view text) {
  Value value;
  if (absl::Status parsed = JsonParser(text).Parse(&value); !parsed.ok()) return parsed;
  return value;
}

absl::StatusOr<ListValue> ParseArgs(absl::string_view text) {
  absl::StatusOr<Value> value = ParseJson(text);
  if (!value.ok()) return value.status();
  if (!value->has_list_value()) return absl::InvalidArgumentError("arguments are a JSON array, as in [\"hi\", 3]");
  return std::move(*value->mutable_list_value());
}

std::string ToJson(const Value& value) {
  std::string json;
  Append(value, &json);
  return json;
}

std::string ToJson(const ListValue& values) {
  std::string json;
  Append(values, &json);
  return json;
}

Value ToValue(absl::string_view text) {
  Value value;
  value.set_string_value(std::string(text));
  return value;
}

Value ToValue(const char* text) { return ToValue(absl::string_view(text)); }

Value ToValue(double number) {
  Value value;
  value.set_number_value(number);
  return value;
}

Value ToValue(int number) { return ToValue(static_cast<double>(number)); }

Value ToValue(int64_t number) { return ToValue(static_cast<double>(number)); }

Value ToValue(bool truth) {
  Value value;
  value.set_bool_value(truth);
  return value;
}

Value ToValue(Value value) { return value; }

}  // namespace actioncluster::client
