/* The rules of the header that need no server: what is refused, and that nothing of it ends the
 * program. Prints what does not hold. */

#include <sealroute.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failures;

#define CHECK(condition)                                          \
  do {                                                            \
    if (!(condition)) {                                           \
      printf("line %d does not hold: %s\n", __LINE__, #condition); \
      failures++;                                                 \
    }                                                             \
  } while (0)

enum { REFUSED = OTC_SESSION_NULL_OR_INVALID_PARAMETER };

static void null_is_refused_everywhere(void) {
  struct otc_session_callbacks session = {0};
  struct otc_publisher_callbacks publisher = {0};
  CHECK(otc_session_new(NULL, "s", &session) == NULL);
  CHECK(otc_session_new("k", NULL, &session) == NULL);
  CHECK(otc_session_new("k", "s", NULL) == NULL);
  CHECK(otc_session_new_with_settings("k", "s", &session, NULL) == NULL);
  CHECK(otc_session_delete(NULL) == REFUSED);
  CHECK(otc_session_connect(NULL, "t") == REFUSED);
  CHECK(otc_session_disconnect(NULL) == REFUSED);
  CHECK(otc_session_publish(NULL, NULL) == REFUSED);
  CHECK(otc_session_unpublish(NULL, NULL) == REFUSED);
  CHECK(otc_session_subscribe(NULL, NULL) == REFUSED);
  CHECK(otc_session_unsubscribe(NULL, NULL) == REFUSED);
  CHECK(otc_session_set_encryption_secret(NULL, "long enough") == REFUSED);
  CHECK(otc_session_replace_encryption_secret(NULL, "long enough") == REFUSED);
  CHECK(otc_session_send_signal(NULL, "t", "d") == REFUSED);
  CHECK(otc_session_send_signal_to_connection(NULL, "t", "d", NULL) == REFUSED);
  CHECK(otc_session_get_id(NULL) == NULL);
  CHECK(otc_session_get_connection(NULL) == NULL);
  CHECK(otc_session_get_user_data(NULL) == NULL);
  CHECK(otc_session_get_verification_code(NULL) == NULL);
  CHECK(otc_session_get_capabilities(NULL).publish == OTC_FALSE);
  CHECK(otc_session_settings_set_proxy_url(NULL, "u") == REFUSED);
  CHECK(otc_session_settings_set_ca_file(NULL, "f") == REFUSED);
  CHECK(otc_session_settings_set_connection_events_suppressed(NULL, OTC_TRUE) == REFUSED);
  CHECK(otc_session_settings_delete(NULL) == REFUSED);
  CHECK(otc_publisher_new("n", NULL, NULL) == NULL);
  CHECK(otc_publisher_new_with_settings(&publisher, NULL) == NULL);
  CHECK(otc_publisher_delete(NULL) == REFUSED);
  CHECK(otc_publisher_get_stream(NULL) == NULL && otc_publisher_get_session(NULL) == NULL);
  CHECK(otc_publisher_set_publish_audio(NULL, OTC_TRUE) == REFUSED);
  CHECK(otc_publisher_set_publish_video(NULL, OTC_TRUE) == REFUSED);
  CHECK(!otc_publisher_get_publish_audio(NULL) && !otc_publisher_get_publish_video(NULL));
  CHECK(otc_publisher_settings_set_name(NULL, "n") == REFUSED);
  CHECK(otc_publisher_settings_set_video_capturer(NULL, NULL) == REFUSED);
  CHECK(otc_publisher_settings_set_audio_track(NULL, OTC_TRUE) == REFUSED);
  CHECK(otc_publisher_settings_set_video_track(NULL, OTC_TRUE) == REFUSED);
  CHECK(otc_publisher_settings_delete(NULL) == REFUSED);
  CHECK(otc_subscriber_new(NULL, NULL) == NULL);
  CHECK(otc_subscriber_delete(NULL) == REFUSED);
  CHECK(otc_subscriber_get_stream(NULL) == NULL && otc_subscriber_get_session(NULL) == NULL);
  CHECK(otc_subscriber_set_subscribe_to_audio(NULL, OTC_TRUE) == REFUSED);
  CHECK(otc_subscriber_set_subscribe_to_video(NULL, OTC_TRUE) == REFUSED);
  CHECK(!otc_subscriber_get_subscribe_to_audio(NULL));
  CHECK(!otc_subscriber_get_subscribe_to_video(NULL));
  CHECK(otc_subscriber_set_encryption_callbacks(NULL, NULL) == REFUSED);
  CHECK(otc_stream_get_id(NULL) == NULL && otc_stream_get_name(NULL) == NULL);
  CHECK(otc_stream_copy(NULL) == NULL && otc_stream_delete(NULL) == REFUSED);
  CHECK(otc_stream_get_connection(NULL) == NULL && !otc_stream_has_video(NULL));
  CHECK(!otc_stream_has_audio(NULL) && otc_stream_get_video_type(NULL) == 0);
  CHECK(otc_stream_get_video_width(NULL) == 0 && otc_stream_get_video_height(NULL) == 0);
  CHECK(otc_stream_get_creation_time(NULL) == 0);
  CHECK(otc_connection_get_id(NULL) == NULL && otc_connection_get_data(NULL) == NULL);
  CHECK(otc_connection_get_session_id(NULL) == NULL);
  CHECK(otc_connection_get_creation_time(NULL) == 0);
  CHECK(otc_connection_copy(NULL) == NULL && otc_connection_delete(NULL) == REFUSED);
  CHECK(otc_video_capturer_provide_frame(NULL, 0, NULL) == REFUSED);
  CHECK(otc_audio_device_write_capture_data(NULL, 10) == REFUSED);
  CHECK(otc_audio_device_read_render_data(NULL, 10) == 0);
  CHECK(otc_set_server_url(NULL) == REFUSED);
  otc_free_string(NULL);
}

static void secrets_have_8_to_256_characters_of_utf_8(otc_session *session) {
  char text[1100] = "";
  CHECK(otc_session_set_encryption_secret(session, NULL) == REFUSED);
  CHECK(otc_session_set_encryption_secret(session, "short") == 6004);
  CHECK(otc_session_set_encryption_secret(session, "") == 6004);
  CHECK(otc_session_set_encryption_secret(session, "8 letter") == 0);
  /* Characters, not bytes: each of these has four bytes, beyond the BMP. */
  for (int count = 1; count <= 257; count++) {
    strcat(text, "\xf0\x9f\x94\x91");
    int wanted = count < ENCRYPTION_SECRET_MINIMUM_LENGTH ||
                         count > ENCRYPTION_SECRET_MAXIMUM_LENGTH
                     ? OTC_SESSION_INVALID_ENCRYPTION_SECRET
                     : OTC_SUCCESS;
    CHECK(otc_session_set_encryption_secret(session, text) == wanted);
  }
  CHECK(otc_session_set_encryption_secret(session, "not utf-8 \xff\xfe") == 6004);
  /* Half of a surrogate pair, as modified UTF-8 has it. */
  CHECK(otc_session_set_encryption_secret(session, "\xed\xa0\xbd\xed\xb4\x91 secret") == 6004);
  CHECK(otc_session_replace_encryption_secret(session, "short") == 6004);
  char *made = otc_generate_encryption_secret();
  CHECK(made != NULL && strlen(made) == 64);
  CHECK(otc_session_set_encryption_secret(session, made) == 0);
  otc_free_string(made);
}

static void what_was_deleted_is_refused(void) {
  struct otc_session_callbacks callbacks = {0};
  struct otc_publisher_callbacks own = {0};
  callbacks.user_data = &callbacks;
  otc_session *session = otc_session_new("key", "session", &callbacks);
  otc_publisher *publisher = otc_publisher_new("name", NULL, &own);
  CHECK(session != NULL && publisher != NULL);
  CHECK(strcmp(otc_session_get_id(session), "session") == 0);
  CHECK(otc_session_get_user_data(session) == &callbacks);
  CHECK(otc_session_get_connection(session) == NULL);
  /* Another kind. */
  CHECK(otc_session_delete((otc_session *)publisher) == REFUSED);
  CHECK(otc_publisher_delete((otc_publisher *)session) == REFUSED);
  CHECK(otc_session_connect((otc_session *)&callbacks, "t") == REFUSED);
  CHECK(otc_session_connect((otc_session *)(intptr_t)-1, "t") == REFUSED);
  CHECK(otc_session_publish(session, publisher) == OTC_SESSION_NOT_CONNECTED);
  CHECK(otc_session_unpublish(session, publisher) == OTC_SESSION_NOT_CONNECTED);
  CHECK(otc_session_disconnect(session) == OTC_SESSION_NOT_CONNECTED);
  CHECK(otc_session_send_signal(session, "t", "d") == OTC_SESSION_NOT_CONNECTED);
  secrets_have_8_to_256_characters_of_utf_8(session);
  CHECK(otc_session_delete(session) == OTC_SUCCESS);
  CHECK(otc_session_delete(session) == REFUSED);
  CHECK(otc_session_get_id(session) == NULL);
  CHECK(otc_session_set_encryption_secret(session, "long enough") == REFUSED);
  CHECK(otc_session_publish(session, publisher) == REFUSED);
  CHECK(otc_publisher_delete(publisher) == OTC_SUCCESS);
  CHECK(otc_publisher_delete(publisher) == REFUSED);
  /* A new object in the old one's place is another one. */
  otc_session *other = otc_session_new("key", "session", &callbacks);
  CHECK(otc_session_get_id(session) == NULL && otc_session_get_id(other) != NULL);
  CHECK(otc_session_new("key", "not utf-8 \xff", &callbacks) == NULL);
  CHECK(otc_publisher_new("not utf-8 \xff", NULL, &own) == NULL);
  CHECK(otc_destroy() == OTC_SUCCESS);
  CHECK(otc_session_get_id(other) == NULL);
}

static void nobody_says_where_the_server_is(void) {
  struct otc_session_callbacks callbacks = {0};
  unsetenv("SEALROUTE_URL");
  otc_session *session = otc_session_new("key", "session", &callbacks);
  CHECK(otc_session_connect(session, "token") == OTC_SESSION_CONNECTION_FAILED);
  CHECK(otc_session_connect(session, NULL) == REFUSED ||
        otc_session_connect(session, NULL) == OTC_SESSION_CONNECTION_FAILED);
  CHECK(otc_set_server_url("no address") == OTC_SUCCESS);
  CHECK(otc_session_connect(session, "token") == REFUSED);
  otc_session_delete(session);
}

enum { ROUNDS = 100 };

static atomic_int failed, begun_again;

static void on_failed(otc_session *session, void *user_data, const char *text,
                      enum otc_session_error_code code) {
  (void)user_data;
  CHECK(text[0] != '\0' && code != 0);
  if (atomic_fetch_add(&failed, 1) < ROUNDS && otc_session_connect(session, "token") == OTC_SUCCESS)
    atomic_fetch_add(&begun_again, 1);
}

static void never(otc_session *session, void *user_data) {
  (void)session;
  (void)user_data;
  CHECK(!"connected, or disconnected");
}

/* Also in the callback that hears of the failure. */
static void who_was_not_let_in_may_connect_again(void) {
  struct otc_session_callbacks callbacks = {0};
  callbacks.on_error = on_failed;
  callbacks.on_connected = callbacks.on_disconnected = never;
  CHECK(otc_set_server_url("http://127.0.0.1:9") == OTC_SUCCESS);
  otc_session *session = otc_session_new("key", "session", &callbacks);
  CHECK(otc_session_connect(session, "token") == OTC_SUCCESS);
  for (int wait = 0; wait < 3000 && atomic_load(&failed) <= ROUNDS; wait++) usleep(10000);
  usleep(200000); /* for one too many */
  CHECK(atomic_load(&failed) == ROUNDS + 1 && atomic_load(&begun_again) == ROUNDS);
  CHECK(otc_session_delete(session) == OTC_SUCCESS);
}

static void pictures_have_the_bytes_of_their_size(void) {
  uint8_t buffer[64 * 48 * 4];
  memset(buffer, 90, sizeof buffer);
  CHECK(otc_video_frame_new(OTC_VIDEO_FRAME_FORMAT_YUV420P, 64, 48, NULL) == NULL);
  CHECK(otc_video_frame_new(OTC_VIDEO_FRAME_FORMAT_MJPEG, 64, 48, buffer) == NULL);
  CHECK(otc_video_frame_new(OTC_VIDEO_FRAME_FORMAT_YUV420P, -64, 48, buffer) == NULL);
  CHECK(otc_video_frame_new(OTC_VIDEO_FRAME_FORMAT_YUV420P, 64, 0, buffer) == NULL);
  CHECK(otc_video_frame_new(OTC_VIDEO_FRAME_FORMAT_YUV420P, 1 << 30, 1 << 30, buffer) == NULL);
  otc_video_frame *frame = otc_video_frame_new(OTC_VIDEO_FRAME_FORMAT_ARGB32, 63, 47, buffer);
  CHECK(otc_video_frame_get_width(frame) == 63 && otc_video_frame_get_height(frame) == 47);
  CHECK(otc_video_frame_get_number_of_planes(frame) == 1);
  CHECK(otc_video_frame_set_timestamp(frame, 17) == OTC_SUCCESS);
  otc_video_frame *planar = otc_video_frame_convert(OTC_VIDEO_FRAME_FORMAT_YUV420P, frame);
  CHECK(otc_video_frame_get_format(planar) == OTC_VIDEO_FRAME_FORMAT_YUV420P);
  CHECK(otc_video_frame_get_timestamp(planar) == 17);
  CHECK(otc_video_frame_get_number_of_planes(planar) == 3);
  CHECK(otc_video_frame_get_plane_stride(planar, OTC_VIDEO_FRAME_PLANE_U) == 32);
  CHECK(otc_video_frame_get_plane_height(planar, OTC_VIDEO_FRAME_PLANE_V) == 24);
  CHECK(otc_video_frame_get_plane_width(planar, OTC_VIDEO_FRAME_PLANE_Y) == 63);
  CHECK(otc_video_frame_get_plane_size(planar, OTC_VIDEO_FRAME_PLANE_Y) == 63 * 47);
  CHECK(otc_video_frame_get_plane_binary_data(planar, OTC_VIDEO_FRAME_PLANE_Y) ==
        otc_video_frame_get_buffer(planar));
  CHECK(otc_video_frame_get_buffer_size(planar) == 63 * 47 + 2 * 32 * 24);
  /* Every byte of what is given may be read. */
  unsigned sum = 0;
  for (int plane = 0; plane < 3; plane++) {
    const uint8_t *data = otc_video_frame_get_plane_binary_data(planar, plane);
    for (size_t at = 0; at < otc_video_frame_get_plane_size(planar, plane); at++)
      sum += data[at];
  }
  CHECK(sum > 0);
  CHECK(otc_video_frame_get_plane_binary_data(planar, 3) == NULL);
  CHECK(otc_video_frame_get_plane_binary_data(planar, -1) == NULL);
  CHECK(otc_video_frame_convert(OTC_VIDEO_FRAME_FORMAT_NV12, planar) == NULL);
  otc_video_frame *copied = otc_video_frame_copy(planar);
  CHECK(otc_video_frame_get_buffer(copied) != otc_video_frame_get_buffer(planar));
  const uint8_t *planes[] = {buffer, buffer, buffer};
  int strides[] = {64, 40, 40}, narrow[] = {64, 8, 40};
  otc_video_frame *wide =
      otc_video_frame_new_from_planes(OTC_VIDEO_FRAME_FORMAT_YUV420P, 60, 40, planes, strides);
  CHECK(otc_video_frame_get_plane_stride(wide, OTC_VIDEO_FRAME_PLANE_Y) == 60);
  CHECK(otc_video_frame_new_from_planes(OTC_VIDEO_FRAME_FORMAT_YUV420P, 60, 40, planes, narrow) ==
        NULL);
  CHECK(otc_video_frame_delete(frame) == OTC_SUCCESS);
  CHECK(otc_video_frame_delete(frame) == REFUSED);
  CHECK(otc_video_frame_get_buffer(frame) == NULL);
  otc_video_frame_delete(planar);
  otc_video_frame_delete(copied);
  otc_video_frame_delete(wide);
}

static int logged;

static void on_log(const char *message) {
  logged += message[0] != '\0';
}

static void what_is_refused_is_logged_where_it_is_wanted(void) {
  otc_log_set_logger_callback(on_log);
  otc_session_delete(NULL);
  CHECK(logged == 0);
  otc_log_enable(OTC_LOG_LEVEL_WARN);
  otc_session_delete(NULL);
  CHECK(logged == 1);
  otc_log_enable(OTC_LOG_LEVEL_DISABLED);
  otc_log_set_logger_callback(NULL);
}

static void a_device_is_asked_for_nothing_while_nobody_is_heard(void) {
  int16_t samples[480];
  memset(samples, 7, sizeof samples);
  struct otc_audio_device_callbacks device = {0};
  CHECK(otc_set_audio_device(&device) == OTC_SUCCESS);
  CHECK(otc_audio_device_write_capture_data(samples, 480) == OTC_SUCCESS);
  CHECK(otc_audio_device_read_render_data(samples, 480) == 480);
  CHECK(samples[0] == 0 && samples[479] == 0);
  CHECK(otc_audio_device_read_render_data(samples, (size_t)-1) == 0);
  CHECK(otc_audio_device_write_capture_data(samples, (size_t)-1) == REFUSED);
  CHECK(otc_set_audio_device(NULL) == OTC_SUCCESS);
}

static void objects_come_and_go(void) {
  struct otc_session_callbacks callbacks = {0};
  struct otc_publisher_callbacks own = {0};
  otc_publisher_settings *settings = otc_publisher_settings_new();
  CHECK(otc_publisher_settings_set_name(settings, "a name") == OTC_SUCCESS);
  CHECK(otc_publisher_settings_set_video_track(settings, OTC_FALSE) == OTC_SUCCESS);
  otc_session_settings *more = otc_session_settings_new();
  CHECK(otc_session_settings_set_proxy_url(more, "http://127.0.0.1:1") == OTC_SUCCESS);
  for (int round = 0; round < 1000; round++) {
    otc_session *session = otc_session_new_with_settings("key", "session", &callbacks, more);
    otc_publisher *publisher = otc_publisher_new_with_settings(&own, settings);
    CHECK(otc_publisher_set_publish_audio(publisher, OTC_FALSE) == OTC_SUCCESS);
    CHECK(!otc_publisher_get_publish_audio(publisher));
    CHECK(otc_publisher_get_publish_video(publisher));
    CHECK(otc_publisher_delete(publisher) == OTC_SUCCESS);
    CHECK(otc_session_delete(session) == OTC_SUCCESS);
  }
  CHECK(otc_publisher_settings_delete(settings) == OTC_SUCCESS);
  CHECK(otc_session_settings_delete(more) == OTC_SUCCESS);
}

int main(void) {
  CHECK(otc_init(NULL) == OTC_SUCCESS && otc_init(NULL) == OTC_SUCCESS);
  CHECK(otc_version()[0] != '\0');
  null_is_refused_everywhere();
  what_was_deleted_is_refused();
  nobody_says_where_the_server_is();
  who_was_not_let_in_may_connect_again();
  pictures_have_the_bytes_of_their_size();
  what_is_refused_is_logged_where_it_is_wanted();
  a_device_is_asked_for_nothing_while_nobody_is_heard();
  objects_come_and_go();
  CHECK(otc_destroy() == OTC_SUCCESS);
  return failures != 0;
}
