// What a TLS peer that hangs hears of a connection that is not used any more.
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "loopback.h"
#include "processors/http_connection.h"

namespace fetcher {
namespace {

using namespace std::chrono_literals;

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
using Session = std::unique_ptr<SSL, decltype(&SSL_free)>;

// For 127.0.0.1, and signed by itself.
Certificate make_certificate(EVP_PKEY* key) {
    Certificate made(X509_new(), &X509_free);
    X509_set_version(made.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), 3600);
    X509_set_pubkey(made.get(), key);
    X509_NAME* name = X509_get_subject_name(made.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(made.get(), name);
    X509_EXTENSION* names = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(made.get(), names, -1);
    X509_EXTENSION_free(names);
    EXPECT_GT(X509_sign(made.get(), key, EVP_sha256()), 0);
    return made;
}

// Reads one request on each connection, may answer it, and then neither reads nor says anything more there.
class HangingTlsServer {
  public:
    explicit HangingTlsServer(bool answers) : answers_(answers) {
        const auto certificate = make_certificate(key_.get());
        SSL_CTX_use_PrivateKey(context_.get(), key_.get());
        SSL_CTX_use_certificate(context_.get(), certificate.get());
        std::FILE* file = std::fopen(ca_file.c_str(), "w");
        EXPECT_EQ(PEM_write_X509(file, certificate.get()), 1);
        std::fclose(file);

        url = "https://127.0.0.1:" + std::to_string(listen_on_loopback(listener_)) + "/";
        thread_ = std::thread([this] {
            for (int peer; (peer = ::accept(listener_, nullptr, nullptr)) >= 0;) serve(peer);
        });
    }
    ~HangingTlsServer() {
        stop();
        for (const int peer : peers_) ::close(peer);
        ::close(listener_);
        std::remove(ca_file.c_str());
    }
    // What was said behind the requests, in bytes for each connection. All must have been given up by the client.
    std::vector<size_t> last_words() {
        stop();
        std::vector<size_t> said;
        for (const int peer : peers_) {
            size_t& bytes = said.emplace_back();
            char some[1024];
            for (ssize_t n; (n = ::recv(peer, some, sizeof some, 0)) > 0;) bytes += static_cast<size_t>(n);
        }
        return said;
    }
    const std::string ca_file = ::testing::TempDir() + "goodbye_" + std::to_string(::getpid()) + ".pem";
    std::string url;

  private:
    void serve(int peer) {
        peers_.push_back(peer);
        const Session session(SSL_new(context_.get()), &SSL_free);
        SSL_set_fd(session.get(), peer);
        EXPECT_EQ(SSL_accept(session.get()), 1);
        char some[1024];
        EXPECT_GT(SSL_read(session.get(), some, sizeof some), 0);
        if (!answers_) return;
        const std::string_view answer = "HTTP/1.1 204 No Content\r\n\r\n";
        EXPECT_GT(SSL_write(session.get(), answer.data(), static_cast<int>(answer.size())), 0);
    }
    void stop() {
        ::shutdown(listener_, SHUT_RDWR);
        if (thread_.joinable()) thread_.join();
    }
    const bool answers_;
    const Key key_{EVP_EC_gen("P-256"), &EVP_PKEY_free};
    const Context context_{SSL_CTX_new(TLS_server_method()), &SSL_CTX_free};
    const int listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    std::vector<int> peers_;  // the thread's, until it has ended
    std::thread thread_;
};

// The library would wait for the answer to a goodbye, as long as for one to a request.
TEST(HttpGoodbyeTest, NoneIsSaidOnAConnectionThatIsGivenUp) {
    HangingTlsServer server(true);
    auto connection = make_http_connection({.url = *parse_http_url(server.url), .request_timeout = 5s, .ca_file = server.ca_file, .longest_idle = 0ms});
    for (int i = 0; i < 2; i++) {
        const auto answer = connection->send({"POST", {}, "x"});
        EXPECT_EQ(answer.status, 204) << answer.trouble;
    }
    connection.reset();
    EXPECT_EQ(server.last_words(), (std::vector<size_t>{0, 0})) << "of one that had been idle for too long, and of one that was not needed any more";
}

TEST(HttpGoodbyeTest, NoneIsSaidToAPeerThatDidNotAnswer) {
    HangingTlsServer server(false);
    const auto connection = make_http_connection({.url = *parse_http_url(server.url), .request_timeout = 5s, .ca_file = server.ca_file});
    const auto answer = connection->send({"POST", {}, "x"});
    EXPECT_EQ(answer.kind, HttpAnswer::Kind::broken);
    EXPECT_EQ(answer.trouble, "no whole answer within the request_timeout");
    EXPECT_EQ(server.last_words(), std::vector<size_t>{0});
}

}  // namespace
}  // namespace fetcher
