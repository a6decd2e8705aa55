#include "client/cli/exit_code.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "actioncluster/status.h"
#include "client/cli/console.h"

namespace actioncluster::cli {
namespace {

using testing::HasSubstr;

absl::Status OfNode(int code, const std::string& reason, const std::string& message = "so it is") {
  v1::Error error;
  error.set_code(code);
  error.set_reason(reason);
  error.set_message(message);
  (*error.mutable_metadata())["node_id"] = "n-2";
  return client::FromProto(error);
}

TEST(ExitCodeTest, SaysTheKindOfErrorByItsCode) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), ExitCode::kOk);
  EXPECT_EQ(ExitCodeOf(absl::InternalError("")), ExitCode::kOther);
  EXPECT_EQ(ExitCodeOf(absl::UnimplementedError("")), ExitCode::kOther);
  EXPECT_EQ(ExitCodeOf(absl::CancelledError("")), ExitCode::kOther);
  EXPECT_EQ(ExitCodeOf(absl::InvalidArgumentError("")), ExitCode::kUsage);
  EXPECT_EQ(ExitCodeOf(absl::OutOfRangeError("")), ExitCode::kUsage);
  EXPECT_EQ(ExitCodeOf(absl::NotFoundError("")), ExitCode::kNotFound);
  EXPECT_EQ(ExitCodeOf(absl::DeadlineExceededError("")), ExitCode::kTimeout);
  EXPECT_EQ(ExitCodeOf(absl::UnavailableError("")), ExitCode::kUnavailable);
  EXPECT_EQ(ExitCodeOf(absl::UnauthenticatedError("")), ExitCode::kUnauthorized);
  EXPECT_EQ(ExitCodeOf(absl::PermissionDeniedError("")), ExitCode::kUnauthorized);
  EXPECT_EQ(ExitCodeOf(absl::ResourceExhaustedError("")), ExitCode::kLimit);
  EXPECT_EQ(ExitCodeOf(absl::FailedPreconditionError("")), ExitCode::kConflict);
  EXPECT_EQ(ExitCodeOf(absl::AbortedError("")), ExitCode::kConflict);
  EXPECT_EQ(ExitCodeOf(absl::AlreadyExistsError("")), ExitCode::kConflict);
}

TEST(ExitCodeTest, AReasonThatSaysMoreThanTheCodeWins) {
  EXPECT_EQ(ExitCodeOf(OfNode(12, "METHOD_NOT_FOUND")), ExitCode::kNotFound);
  EXPECT_EQ(ExitCodeOf(OfNode(3, "HANDLER_FAILED")), ExitCode::kHandlerFailed);
  EXPECT_EQ(ExitCodeOf(OfNode(2, "HANDLER_FAILED")), ExitCode::kHandlerFailed);
  EXPECT_EQ(ExitCodeOf(OfNode(14, "BACKPLANE_UNAVAILABLE")), ExitCode::kUnavailable);
}

TEST(ExitCodeTest, TheHelpHasALineForEach) {
  for (int code = 0; code <= static_cast<int>(ExitCode::kConflict); ++code) {
    EXPECT_THAT(absl::StrCat("\n", ExitCodeHelp()), HasSubstr(absl::StrCat("\n  ", code, "  ")));
  }
}

TEST(DescribeErrorTest, NamesReasonCodeMessageAndNodeInOneLine) {
  EXPECT_EQ(DescribeError(OfNode(5, "NODE_NOT_FOUND")), "NODE_NOT_FOUND (NOT_FOUND) so it is [node n-2]");
  EXPECT_EQ(DescribeError(absl::UnavailableError("nobody")), "UNAVAILABLE nobody");
  EXPECT_EQ(DescribeError(OfNode(2, "HANDLER_FAILED", "a\nb\x1b[2J")),
            "HANDLER_FAILED (UNKNOWN) a\\nb\\u001b[2J [node n-2]");
}

TEST(ErrorToJsonTest, HasEachFieldAlways) {
  EXPECT_EQ(ErrorToJson(OfNode(5, "NODE_NOT_FOUND", "no \"x\"")),
            R"({"code":"NOT_FOUND","reason":"NODE_NOT_FOUND","message":"no \"x\"","node_id":"n-2",)"
            R"("metadata":{"node_id":"n-2"},"exit_code":3})");
  EXPECT_EQ(ErrorToJson(absl::UnavailableError("nobody")),
            R"({"code":"UNAVAILABLE","reason":"","message":"nobody","node_id":"","metadata":{},"exit_code":5})");
}

TEST(ToJsonLineTest, HasTheProtosNamesAndAlsoWhatIsEmpty) {
  EXPECT_EQ(ToJsonLine(v1::Error()), R"({"code":0,"message":"","reason":"","metadata":{}})");
}

}  // namespace
}  // namespace actioncluster::cli
