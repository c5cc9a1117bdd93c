#include "datastore/platform/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "datastore/platform/descriptor.h"

namespace holdfast::platform {
namespace {

class ServiceManagerTest : public testing::Test {
 protected:
  ~ServiceManagerTest() override {
    ::unsetenv("NOTIFY_SOCKET");
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  /// A socket of that name; '@' stands for the zero byte of an abstract one.
  Descriptor listen(const std::string& name) {
    if (name.front() != '@') path_ = name;
    Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name.front() == '@') address.sun_path[0] = '\0';
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address),
                     static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())),
              0);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    return socket;
  }
  static std::string heard(const Descriptor& socket) {
    char text[64];
    const ssize_t size = ::recv(socket.get(), text, sizeof text, 0);
    return size < 0 ? "nothing" : std::string(text, static_cast<std::size_t>(size));
  }

  std::string path_;
};

TEST_F(ServiceManagerTest, IsToldByPathAndByAbstractName) {
  const std::string unique = std::to_string(::getpid());
  for (const std::string& name : {testing::TempDir() + "/notify" + unique, "@holdfast" + unique}) {
    const Descriptor socket = listen(name);
    EXPECT_TRUE(*notify_service_manager("READY=1")) << name;
    EXPECT_EQ(heard(socket), "READY=1") << name;
  }
}

TEST_F(ServiceManagerTest, NobodyIsToldWhenNobodyAsked) {
  EXPECT_FALSE(*notify_service_manager("READY=1"));
}

TEST_F(ServiceManagerTest, AnAddressThatIsNoneIsNamed) {
  for (const std::string& name :
       {std::string("notify"), "/" + std::string(200, 'x'), std::string("/nobody/listens")}) {
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    const auto told = notify_service_manager("READY=1");
    ASSERT_FALSE(told.ok());
    EXPECT_NE(told.status().message().find("NOTIFY_SOCKET=" + name), std::string::npos);
  }
}

}  // namespace
}  // namespace holdfast::platform
