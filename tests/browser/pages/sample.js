// A small application as written for OpenTok.js: nothing in this file knows of another server.
function handleError(error) {
  if (error) document.body.dataset.error = error.message;
}

window.addEventListener('load', function () {
  const session = OT.initSession(apiKey, sessionId, { encryptionSecret: secret });

  session.on('streamCreated', function (event) {
    session.subscribe(
      event.stream,
      'subscriber',
      { insertMode: 'append', width: '100%', height: '100%' },
      handleError,
    );
  });

  session.on('signal:msg', function (event) {
    const line = document.createElement('span');
    line.textContent = event.data;
    line.className =
      event.from.connectionId === session.connection.connectionId ? 'mine' : 'theirs';
    document.getElementById('history').appendChild(line);
  });

  const publisher = OT.initPublisher(
    'publisher',
    { insertMode: 'append', width: '100%', height: '100%' },
    handleError,
  );

  session.connect(token, function (error) {
    if (error) handleError(error);
    else session.publish(publisher, handleError);
  });

  document.getElementById('chat').addEventListener('submit', function (event) {
    event.preventDefault();
    session.signal(
      { type: 'msg', data: document.getElementById('message').value },
      function (error) {
        if (error) handleError(error);
        else document.getElementById('message').value = '';
      },
    );
  });
});
