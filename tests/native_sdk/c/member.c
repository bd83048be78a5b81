/* A client in C that a test drives: commands on its standard input, what happens as JSON lines on its
 * standard output. It publishes the test pattern and a tone; what it renders goes into files. */

#include <math.h>
#include <pthread.h>
#include <sealroute.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 640, HEIGHT = 480, BLOCK = 16, BITS = 16, RATE = 48000, TONE_HZ = 1000 };
enum { PICTURES_KEPT = 60, SECONDS_KEPT = 4 };

static pthread_mutex_t lines = PTHREAD_MUTEX_INITIALIZER;
static otc_session *session;
static otc_publisher *publisher;
static otc_subscriber *subscriber;
static const char *folder;
/* What a callback does to its own object: `deletes session`, `deletes publisher`, … */
static char abuse[32];
static atomic_int is_watching = 1;

static void tell(const char *event, const char *detail, int number) {
  pthread_mutex_lock(&lines);
  printf("{\"event\": \"%s\", \"detail\": \"%s\", \"number\": %d}\n", event, detail, number);
  fflush(stdout);
  pthread_mutex_unlock(&lines);
}

/* --- what it publishes ------------------------------------------------------------------------- */

static atomic_int captures, sounds;
static pthread_t camera, microphone, loudspeaker;

static void draw(uint8_t *image, unsigned number) {
  memset(image + WIDTH * HEIGHT, 128, WIDTH * HEIGHT / 2);
  int bar = (int)(number * 4 % WIDTH);
  for (int y = 0; y < HEIGHT; y++)
    for (int x = 0; x < WIDTH; x++) {
      int is_bar = y >= BLOCK && y < HEIGHT / 2 && x >= bar && x < bar + 24;
      image[y * WIDTH + x] = (uint8_t)(is_bar ? 220 : 64 + x * 128 / WIDTH);
    }
  for (int bit = 0; bit < BITS; bit++)
    for (int y = 0; y < BLOCK; y++)
      memset(image + y * WIDTH + bit * BLOCK, number >> bit & 1 ? 235 : 16, BLOCK);
}

static void *film(void *capturer) {
  static uint8_t image[WIDTH * HEIGHT * 3 / 2];
  for (unsigned number = 0; captures; number++) {
    draw(image, number);
    otc_video_frame *frame =
        otc_video_frame_new(OTC_VIDEO_FRAME_FORMAT_YUV420P, WIDTH, HEIGHT, image);
    otc_video_capturer_provide_frame(capturer, 0, frame);
    otc_video_frame_delete(frame);
    usleep(33333);
  }
  return NULL;
}

static otc_bool begin_film(const otc_video_capturer *capturer, void *user_data) {
  (void)user_data;
  captures = 1;
  return pthread_create(&camera, NULL, film, (void *)capturer) == 0;
}

static otc_bool end_film(const otc_video_capturer *capturer, void *user_data) {
  (void)capturer, (void)user_data;
  captures = 0;
  pthread_join(camera, NULL);
  tell("capturer_stopped", "", 0);
  return OTC_TRUE;
}

static otc_bool describe_film(const otc_video_capturer *capturer, void *user_data,
                              struct otc_video_capturer_settings *settings) {
  (void)capturer, (void)user_data;
  settings->format = OTC_VIDEO_FRAME_FORMAT_YUV420P;
  settings->width = WIDTH;
  settings->height = HEIGHT;
  settings->fps = 30;
  return OTC_TRUE;
}

/* --- its device of sound ------------------------------------------------------------------------ */

static void *speak(void *unused) {
  int16_t samples[RATE / 100];
  for (unsigned at = 0; sounds & 1; at += RATE / 100) {
    for (unsigned n = 0; n < RATE / 100; n++)
      samples[n] = (int16_t)(8000 * sin(2 * M_PI * TONE_HZ * (at + n) / RATE));
    otc_audio_device_write_capture_data(samples, RATE / 100);
    usleep(10000);
  }
  return unused;
}

static void *listen_to(void *unused) {
  char path[512];
  int16_t samples[RATE / 100];
  snprintf(path, sizeof path, "%s/heard.pcm", folder);
  FILE *file = NULL;
  for (int pieces = 0; sounds & 2;) {
    size_t count = otc_audio_device_read_render_data(samples, RATE / 100);
    int is_heard = 0;
    for (size_t n = 0; n < count; n++)
      is_heard |= samples[n] > 500;
    if (is_heard && pieces < 100 * SECONDS_KEPT) {
      if (file == NULL)
        file = fopen(path, "wb");
      fwrite(samples, sizeof *samples, count, file);
      if (++pieces == 100) {
        fflush(file);
        tell("heard", "", pieces);
      }
    }
    usleep(10000);
  }
  if (file != NULL)
    fclose(file);
  return unused;
}

static otc_bool begin_speech(const otc_audio_device *device, void *user_data) {
  (void)device, (void)user_data;
  sounds |= 1;
  return pthread_create(&microphone, NULL, speak, NULL) == 0;
}

static otc_bool end_speech(const otc_audio_device *device, void *user_data) {
  (void)device, (void)user_data;
  sounds &= ~1;
  return pthread_join(microphone, NULL) == 0;
}

static otc_bool begin_hearing(const otc_audio_device *device, void *user_data) {
  (void)device, (void)user_data;
  sounds |= 2;
  return pthread_create(&loudspeaker, NULL, listen_to, NULL) == 0;
}

static otc_bool end_hearing(const otc_audio_device *device, void *user_data) {
  (void)device, (void)user_data;
  sounds &= ~2;
  return pthread_join(loudspeaker, NULL) == 0;
}

static otc_bool describe_sound(const otc_audio_device *device, void *user_data,
                               struct otc_audio_device_settings *settings) {
  (void)device, (void)user_data;
  settings->sampling_rate = RATE;
  settings->number_of_channels = 1;
  return OTC_TRUE;
}

/* --- callbacks ------------------------------------------------------------------------------------ */

static void on_created(otc_publisher *own, void *user_data, const otc_stream *stream) {
  (void)user_data;
  tell("published", otc_stream_get_id(stream), own == publisher);
  if (strcmp(abuse, "publisher") == 0)
    tell("deleted", "publisher", otc_publisher_delete(own));
}

static void on_destroyed(otc_publisher *own, void *user_data, const otc_stream *stream) {
  (void)own, (void)user_data;
  tell("unpublished", otc_stream_get_id(stream), 0);
}

static void on_publisher_error(otc_publisher *own, void *user_data, const char *text,
                               enum otc_publisher_error_code error) {
  (void)own, (void)user_data;
  tell("publisher_error", text, (int)error);
}

static void on_picture(otc_subscriber *own, void *user_data, const otc_video_frame *frame) {
  static FILE *file;
  static int count;
  (void)user_data;
  if (count++ >= PICTURES_KEPT)
    return;
  if (strcmp(abuse, "subscriber") == 0) {
    tell("rendered", "", count);
    tell("deleted", "subscriber", otc_subscriber_delete(own));
    return;
  }
  if (file == NULL) {
    char path[512];
    snprintf(path, sizeof path, "%s/seen-%dx%d.yuv", folder, otc_video_frame_get_width(frame),
             otc_video_frame_get_height(frame));
    file = fopen(path, "wb");
  }
  fwrite(otc_video_frame_get_buffer(frame), 1, otc_video_frame_get_buffer_size(frame), file);
  if (count == PICTURES_KEPT) {
    fclose(file);
    tell("seen", "", count);
  }
}

static void on_subscribed(otc_subscriber *own, void *user_data, const otc_stream *stream) {
  (void)own, (void)user_data;
  tell("subscribed", otc_stream_get_id(stream), 0);
}

static void on_match(otc_subscriber *own, void *user_data) {
  (void)own, (void)user_data;
  tell("match", "", 0);
}

static void on_subscriber_error(otc_subscriber *own, void *user_data, const char *text,
                                enum otc_subscriber_error_code error) {
  (void)own, (void)user_data;
  tell("subscriber_error", text, (int)error);
}

static void on_connected(otc_session *own, void *user_data) {
  (void)user_data;
  tell("connected", otc_connection_get_id(otc_session_get_connection(own)),
       otc_session_get_capabilities(own).publish);
  if (strcmp(abuse, "session") == 0)
    tell("deleted", "session", otc_session_delete(own));
}

static void on_disconnected(otc_session *own, void *user_data) {
  (void)own, (void)user_data;
  tell("disconnected", "", 0);
}

static void on_connection(otc_session *own, void *user_data, const otc_connection *connection) {
  (void)own, (void)user_data;
  tell("connection", otc_connection_get_id(connection), 0);
}

static void on_stream(otc_session *own, void *user_data, const otc_stream *stream) {
  (void)user_data;
  tell("stream", otc_stream_get_name(stream), otc_stream_has_video(stream));
  if (!is_watching || subscriber != NULL)
    return;
  struct otc_subscriber_callbacks callbacks = {0};
  callbacks.on_connected = on_subscribed;
  callbacks.on_render_frame = on_picture;
  callbacks.on_error = on_subscriber_error;
  subscriber = otc_subscriber_new(stream, &callbacks);
  struct otc_subscriber_encryption_callbacks more = {on_match, NULL, NULL};
  otc_subscriber_set_encryption_callbacks(subscriber, &more);
  otc_session_subscribe(own, subscriber);
}

static void on_stream_end(otc_session *own, void *user_data, const otc_stream *stream) {
  (void)own, (void)user_data;
  tell("stream_dropped", otc_stream_get_id(stream), 0);
}

static void on_signal(otc_session *own, void *user_data, const char *type, const char *signal,
                      const otc_connection *connection) {
  (void)own, (void)user_data;
  tell("signal", signal, connection != NULL);
  tell("signal_type", type, 0);
}

static void on_session_error(otc_session *own, void *user_data, const char *text,
                             enum otc_session_error_code error) {
  (void)own, (void)user_data;
  tell("session_error", text, (int)error);
}

/* --- commands --------------------------------------------------------------------------------------- */

static void publish(void) {
  struct otc_video_capturer_callbacks capturer = {0};
  capturer.start = begin_film;
  capturer.stop = end_film;
  capturer.get_capture_settings = describe_film;
  struct otc_publisher_callbacks callbacks = {0};
  callbacks.on_stream_created = on_created;
  callbacks.on_stream_destroyed = on_destroyed;
  callbacks.on_error = on_publisher_error;
  if (publisher == NULL)
    publisher = otc_publisher_new("in C", &capturer, &callbacks);
  tell("result", "publish", otc_session_publish(session, publisher));
}

static int act(char *line) {
  char *argument = strchr(line, ' ');
  if (argument != NULL)
    *argument++ = '\0';
  if (strcmp(line, "secret") == 0)
    tell("result", line, otc_session_set_encryption_secret(session, argument));
  else if (strcmp(line, "replace") == 0)
    tell("result", line, otc_session_replace_encryption_secret(session, argument));
  else if (strcmp(line, "connect") == 0)
    tell("result", line, otc_session_connect(session, getenv("SEALROUTE_TOKEN")));
  else if (strcmp(line, "disconnect") == 0)
    tell("result", line, otc_session_disconnect(session));
  else if (strcmp(line, "publish") == 0)
    publish();
  else if (strcmp(line, "unpublish") == 0)
    tell("result", line, otc_session_unpublish(session, publisher));
  else if (strcmp(line, "signal") == 0)
    tell("result", line, otc_session_send_signal(session, "chat", argument));
  else if (strcmp(line, "deletes") == 0)
    snprintf(abuse, sizeof abuse, "%s", argument);
  else if (strcmp(line, "ignore") == 0)
    is_watching = 0;
  else if (strcmp(line, "code") == 0) {
    char *code = otc_session_get_verification_code(session);
    tell("code", code == NULL ? "" : code, 0);
    otc_free_string(code);
  } else
    return strcmp(line, "leave") != 0;
  return 1;
}

int main(int count, char **words) {
  if (count < 4)
    return 2;
  folder = words[3];
  otc_init(NULL);
  otc_log_enable(OTC_LOG_LEVEL_WARN);
  struct otc_audio_device_callbacks device = {0};
  device.start_capturer = begin_speech;
  device.stop_capturer = end_speech;
  device.start_renderer = begin_hearing;
  device.stop_renderer = end_hearing;
  device.get_capture_settings = describe_sound;
  device.get_render_settings = describe_sound;
  otc_set_audio_device(&device);
  struct otc_session_callbacks callbacks = {0};
  callbacks.on_connected = on_connected;
  callbacks.on_disconnected = on_disconnected;
  callbacks.on_connection_created = on_connection;
  callbacks.on_stream_received = on_stream;
  callbacks.on_stream_dropped = on_stream_end;
  callbacks.on_signal_received = on_signal;
  callbacks.on_error = on_session_error;
  session = otc_session_new(words[1], words[2], &callbacks);
  char line[2048];
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    if (!act(line))
      break;
  }
  /* In the order in which a careless program does it. */
  otc_session_delete(session);
  otc_publisher_delete(publisher);
  otc_subscriber_delete(subscriber);
  otc_destroy();
  tell("over", "", 0);
  return 0;
}
