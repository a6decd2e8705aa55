#ifndef ACTIONCLUSTER_CLIENT_JSON_PARSER_H_
#define ACTIONCLUSTER_CLIENT_JSON_PARSER_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/struct.pb.h"

namespace actioncluster::client {

// Reads one JSON text (RFC 8259) into a Value, and nothing else: Protobuf's own parser lets pass much that is no JSON, such as names without quotes.
// For one text, and one thread.
class JsonParser {
 public:
  explicit JsonParser(absl::string_view text) : text_(text) {}

  // INVALID_ARGUMENT: what is wrong, and where. Of two fields with one name the last counts.
  absl::Status Parse(google::protobuf::Value* value);

 private:
  bool ParseValue(google::protobuf::Value* value, int nesting);
  bool ParseObject(google::protobuf::Struct* object, int nesting);
  bool ParseArray(google::protobuf::ListValue* array, int nesting);
  bool ParseString(std::string* text);
  bool ParseEscape(std::string* text);
  bool ParseCodeUnit(unsigned* unit);
  bool ParseNumber(google::protobuf::Value* value);
  bool ParseWord(absl::string_view word);

  void SkipSpace();
  size_t SkipDigits();
  // The next character is this one, and is passed over.
  bool Take(char character);
  char Peek() const { return position_ < text_.size() ? text_[position_] : '\0'; }
  // Remembers what is wrong here; always false.
  bool Fail(absl::string_view what);

  const absl::string_view text_;
  size_t position_ = 0;
  std::string fault_;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_JSON_PARSER_H_
