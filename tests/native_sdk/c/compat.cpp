// A program as one is written for the vendor's header, with its names, its order of members and its
// linker flags: it is compiled unmodified. It publishes gray frames, and prints what it is told.

#include <opentok.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

static std::atomic<bool> is_connected{false}, is_published{false}, is_capturing{false};
static std::atomic<int> error_number{0};
static otc_publisher *publisher = nullptr;
static std::thread capturer_thread;

static void on_session_connected(otc_session *session, void *user_data) {
  (void)user_data;
  is_connected = true;
  otc_session_publish(session, publisher);
}

static void on_session_error(otc_session *session, void *user_data, const char *error_string,
                             enum otc_session_error_code error) {
  (void)session, (void)user_data, (void)error_string;
  error_number = static_cast<int>(error);
}

static void on_publisher_stream_created(otc_publisher *, void *, const otc_stream *stream) {
  is_published = otc_stream_get_id(stream) != nullptr;
}

static otc_bool capturer_start(const otc_video_capturer *capturer, void *user_data) {
  (void)user_data;
  is_capturing = true;
  capturer_thread = std::thread([capturer] {
    std::vector<uint8_t> buffer(320 * 240 * 3 / 2, 128);
    while (is_capturing) {
      otc_video_frame *frame =
          otc_video_frame_new(OTC_VIDEO_FRAME_FORMAT_YUV420P, 320, 240, buffer.data());
      otc_video_capturer_provide_frame(capturer, 0, frame);
      if (frame != nullptr) {
        otc_video_frame_delete(frame);
      }
      usleep(1000 / 30 * 1000);
    }
  });
  return OTC_TRUE;
}

static otc_bool capturer_stop(const otc_video_capturer *, void *) {
  is_capturing = false;
  capturer_thread.join();
  return OTC_TRUE;
}

static otc_bool capturer_settings(const otc_video_capturer *, void *,
                                  struct otc_video_capturer_settings *settings) {
  *settings = {.format = OTC_VIDEO_FRAME_FORMAT_YUV420P,
               .width = 320,
               .height = 240,
               .fps = 30,
               .expected_delay = 0,
               .mirror_on_local_render = OTC_FALSE};
  return OTC_TRUE;
}

int main(int count, char **words) {
  if (count < 3 || otc_init(nullptr) != OTC_SUCCESS) {
    return EXIT_FAILURE;
  }
  // Initializers of C++ come in the order of the members.
  struct otc_session_callbacks session_callbacks = {.on_connected = on_session_connected,
                                                    .on_disconnected = nullptr,
                                                    .on_connection_created = nullptr,
                                                    .on_connection_dropped = nullptr,
                                                    .on_stream_received = nullptr,
                                                    .on_stream_dropped = nullptr,
                                                    .on_stream_has_audio_changed = nullptr,
                                                    .on_stream_has_video_changed = nullptr,
                                                    .on_stream_video_dimensions_changed = nullptr,
                                                    .on_stream_video_type_changed = nullptr,
                                                    .on_reconnection_started = nullptr,
                                                    .on_reconnected = nullptr,
                                                    .on_archive_started = nullptr,
                                                    .on_archive_stopped = nullptr,
                                                    .on_signal_received = nullptr,
                                                    .on_error = on_session_error,
                                                    .user_data = nullptr,
                                                    .reserved = nullptr};
  struct otc_publisher_callbacks publisher_callbacks = {
      .on_stream_created = on_publisher_stream_created,
      .on_stream_destroyed = nullptr,
      .on_render_frame = nullptr,
      .on_audio_level_updated = nullptr,
      .on_error = nullptr,
      .user_data = nullptr,
      .reserved = nullptr};
  struct otc_video_capturer_callbacks capturer_callbacks = {
      .init = nullptr,
      .destroy = nullptr,
      .start = capturer_start,
      .stop = capturer_stop,
      .get_capture_settings = capturer_settings,
      .user_data = nullptr,
      .reserved = nullptr};
  otc_session *session = otc_session_new(words[1], words[2], &session_callbacks);
  const char *secret = std::getenv("SECRET");
  if (secret != nullptr && otc_session_set_encryption_secret(session, secret) != OTC_SUCCESS) {
    return EXIT_FAILURE;
  }
  publisher = otc_publisher_new("in C++", &capturer_callbacks, &publisher_callbacks);
  otc_session_connect(session, std::getenv("SEALROUTE_TOKEN"));
  std::string line;
  while (!is_capturing && error_number == 0) {
    usleep(10 * 1000);
  }
  std::cout << is_connected << is_published << error_number << std::endl;
  std::getline(std::cin, line);
  otc_session_unpublish(session, publisher);
  otc_publisher_delete(publisher);
  otc_session_disconnect(session);
  otc_session_delete(session);
  return otc_destroy() == OTC_SUCCESS ? EXIT_SUCCESS : EXIT_FAILURE;
}
