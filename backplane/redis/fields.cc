#include "backplane/redis/fields.h"

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"

namespace actioncluster::redis {

Fields::Fields(ReplyView array) : array_(array) {
  if (!array.is_array()) Note(absl::InternalError("a script gave no array where one belongs"));
}

std::string Fields::Text() {
  const absl::StatusOr<absl::string_view> text = Element().String();
  Note(text.status());
  return text.ok() ? std::string(*text) : std::string();
}

int64_t Fields::Number() {
  const absl::StatusOr<int64_t> number = Element().Integer();
  Note(number.status());
  return number.value_or(0);
}

double Fields::Real() {
  const std::string text = Text();
  double number = 0;
  if (!text.empty() && !absl::SimpleAtod(text, &number)) Note(absl::InternalError("a script gave no number"));
  return number;
}

std::optional<absl::Time> Fields::Moment() {
  const std::string text = Text();
  if (text.empty()) return std::nullopt;
  int64_t micros = 0;
  if (!absl::SimpleAtoi(text, &micros)) Note(absl::InternalError("a script gave no time"));
  return absl::FromUnixMicros(micros);
}

absl::Duration Fields::Micros() {
  const std::optional<absl::Time> moment = Moment();
  return moment.has_value() ? *moment - absl::UnixEpoch() : absl::ZeroDuration();
}

void Fields::Note(const absl::Status& status) { status_.Update(status); }

}  // namespace actioncluster::redis
