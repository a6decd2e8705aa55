#include "backplane/redis/error_reply.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster::redis {
namespace {

TEST(ErrorReplyStatusTest, WhatRedisCannotDoNowIsUnavailable) {
  for (const char* code :
       {"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "BUSY", "OOM", "MISCONF"}) {
    const absl::Status status = ErrorReplyStatus(absl::StrCat(code, " some text"));
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << code;
    EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE) << code;
  }
}

TEST(ErrorReplyStatusTest, WhatWeMayNotDoIsPermissionDenied) {
  for (const char* code : {"NOPERM", "NOAUTH", "WRONGPASS"}) {
    EXPECT_TRUE(absl::IsPermissionDenied(ErrorReplyStatus(absl::StrCat(code, " text")))) << code;
  }
}

TEST(ErrorReplyStatusTest, TheRestIsInternalAndSaysWhatRedisSaid) {
  for (const std::string text :
       {"ERR syntax error", "WRONGTYPE Operation", "NOSCRIPT No matching script", "OOMPH x", "", "busy x"}) {
    const absl::Status status = ErrorReplyStatus(text);
    EXPECT_TRUE(absl::IsInternal(status)) << text;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(text));
  }
}

}  // namespace
}  // namespace actioncluster::redis
