"""The process that serves live playlists: viewers cost the process that forwards media nothing."""
