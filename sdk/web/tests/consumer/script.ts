// A script beside `<script src="…/sealroute.js">`: the names are there without an import.
const called = OT.initSession('key', 'session');
const shown: OT.Publisher = OT.initPublisher('me', {} satisfies OT.PublisherProperties);
called.connect('token', (error?: OT.OTError) => {
  if (!error) called.publish(shown);
});
