"""The only room that talks to the API server: reads snapshots, carries out effects, names what went wrong."""
