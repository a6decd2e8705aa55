#include "client/cli/exit_code.h"

#include "actioncluster/status.h"

namespace actioncluster::cli {

ExitCode ExitCodeOf(const absl::Status& status) {
  switch (client::ReasonOf(status)) {
    case v1::ERROR_REASON_METHOD_NOT_FOUND:
      return ExitCode::kNotFound;
    case v1::ERROR_REASON_HANDLER_FAILED:
      return ExitCode::kHandlerFailed;
    default:
      break;
  }
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return ExitCode::kUsage;
    case absl::StatusCode::kNotFound:
      return ExitCode::kNotFound;
    case absl::StatusCode::kDeadlineExceeded:
      return ExitCode::kTimeout;
    case absl::StatusCode::kUnavailable:
      return ExitCode::kUnavailable;
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return ExitCode::kUnauthorized;
    case absl::StatusCode::kResourceExhausted:
      return ExitCode::kLimit;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kAlreadyExists:
      return ExitCode::kConflict;
    default:
      return ExitCode::kOther;
  }
}

std::string ExitCodeHelp() {
  return "  0    ok\n"
         "  1    any other error\n"
         "  2    the command line or a value in it is wrong (INVALID_ARGUMENT)\n"
         "  3    no such thing (NODE_NOT_FOUND, TASK_NOT_FOUND, ...)\n"
         "  4    no answer in time (RPC_TIMEOUT)\n"
         "  5    no node is reached, or Redis is away (BACKPLANE_UNAVAILABLE)\n"
         "  6    not allowed (UNAUTHENTICATED, PERMISSION_DENIED)\n"
         "  7    a limit is exceeded (LIMIT_EXCEEDED)\n"
         "  8    the method's or the task's handler failed (HANDLER_FAILED)\n"
         "  9    not in this state (FAILED_PRECONDITION, ABORTED, ALREADY_EXISTS)\n"
         "  130  ended by Ctrl-C; rpc serve, work and connect stop in good order and say 0\n"
         "  141  the reader of the output is gone\n";
}

}  // namespace actioncluster::cli
